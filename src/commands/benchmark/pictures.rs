//! The pictures that objects and backgrounds are cut from.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use evaluation::benchmark::Picture;
use pipeline::{FileFrames, Fit};
use tracing::warn;

/// Frames of OpenCV's sample videos (tests/media/README.md).
const SHIPPED: [(&str, &[u8]); 3] = [
    ("cup", include_bytes!("pictures/cup.jpg")),
    ("street", include_bytes!("pictures/street.jpg")),
    ("tree", include_bytes!("pictures/tree.jpg")),
];

/// Height and width of a picture.
const SIZE: [usize; 2] = [384, 512];

/// Seconds between the frames of a video, and the most of them.
const EVERY: f64 = 2.0;
const FRAMES: usize = 4;

/// The pictures of a folder, or those that come with the program.
pub(super) fn load(folder: Option<&Path>) -> anyhow::Result<Vec<Picture>> {
    match folder {
        Some(folder) => from_folder(folder),
        None => shipped(),
    }
}

fn shipped() -> anyhow::Result<Vec<Picture>> {
    let decode = |(name, bytes): &(&str, &[u8])| {
        let image = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg);
        let image = image.with_context(|| format!("the picture {name} of this program"))?.to_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        Ok(Picture::new(width, height, image.into_raw()))
    };
    SHIPPED.iter().map(decode).collect()
}

fn from_folder(folder: &Path) -> anyhow::Result<Vec<Picture>> {
    let frames = FileFrames { size: SIZE, fit: Fit::Crop, every: EVERY, limit: FRAMES };
    let read = std::fs::read_dir(folder)
        .and_then(|it| it.map(|it| Ok(it?.path())).collect::<std::io::Result<Vec<PathBuf>>>());
    let mut files = read.with_context(|| format!("cannot read {}", folder.display()))?;
    files.sort();
    let mut pictures = Vec::new();
    for file in files.iter().filter(|it| it.is_file()) {
        match frames.read(file) {
            Ok(read) => pictures
                .extend(read.iter().map(|it| Picture::new(SIZE[1], SIZE[0], it.pixels.to_vec()))),
            Err(err) => warn!("left out: {err}"),
        }
    }
    ensure!(!pictures.is_empty(), "{} has no image or video", folder.display());
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_pictures_can_be_decoded() {
        let pictures = load(None).unwrap();
        assert_eq!(pictures.len(), 3);
        assert!(pictures.iter().all(|it| it.width >= 480 && it.height >= 360));
    }
}
