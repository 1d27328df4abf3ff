//! Scenes of objects over backgrounds: videos to learn from, and frames with masks to test on.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;
use evaluation::benchmark::{
    Difficulty, Object, Picture, SceneConfig, SceneVideo, Split, Texture, bands,
};
use jpeg_encoder::{ColorType, Encoder};
use pipeline::VideoFile;
use rayon::prelude::*;

use super::{MakeArguments, create};

/// Height and width of a frame, as many patches of 8 as of 16 pixels.
const SIZE: [usize; 2] = [128, 224];

/// Frames of a video, and how many are shown in a second.
const FRAMES: usize = 40;
const FPS: u32 = 10;

/// Objects that are cut from each picture for each split.
const OBJECTS: usize = 12;

/// Quality of the frames as JPEG: hardly any loss.
const QUALITY: u8 = 95;

/// Makes the scenes, and says how many.
pub(super) fn make(
    folder: &Path,
    pictures: &[Picture],
    arguments: &MakeArguments,
) -> anyhow::Result<String> {
    let MakeArguments { scenes, seed, .. } = *arguments;
    let tested = scenes.div_ceil(4);
    let train = Sources::cut(pictures, Split::Train, seed);
    let query = Sources::cut(pictures, Split::Query, seed);
    for difficulty in Difficulty::ALL {
        let name = format!("{difficulty:?}").to_lowercase();
        let config = SceneConfig { width: SIZE[1], height: SIZE[0], frames: FRAMES, difficulty };
        let folder = folder.join(name);
        create(&folder.join("train"))?;
        (0..scenes).into_par_iter().try_for_each(|scene| {
            let path = folder.join(format!("train/{scene:05}.mp4"));
            let mut video = VideoFile::create(&path, SIZE, FPS)?;
            for frame in train.scene(config, 2 * scene as u64, seed) {
                video.write(&frame.rgb)?;
            }
            video.finish().map_err(anyhow::Error::from)
        })?;
        let root = folder.join("query");
        (0..tested).into_par_iter().try_for_each(|scene| {
            davis(&root, scene, query.scene(config, 2 * scene as u64 + 1, seed))
        })?;
        let names: String = (0..tested).map(|it| format!("scene-{it:03}\n")).collect();
        create(&root.join("ImageSets/2017"))?;
        let list = root.join("ImageSets/2017/val.txt");
        fs::write(&list, names).with_context(|| format!("could not write {}", list.display()))?;
    }
    Ok(format!(
        "  scenes: {scenes} videos to learn from and {tested} with masks to test on, each of three \
         difficulties, {} x {}, {FRAMES} frames\n",
        SIZE[1], SIZE[0]
    ))
}

/// What the scenes of a split are made of. Splits share no pixel.
struct Sources {
    backgrounds: Vec<Texture>,
    objects: Vec<Object>,
}

impl Sources {
    fn cut(pictures: &[Picture], split: Split, seed: u64) -> Self {
        let sizes: Vec<_> = pictures.iter().map(|it| (it.width, it.height)).collect();
        let parts: Vec<Picture> = pictures
            .iter()
            .zip(bands(&sizes, split, seed))
            .map(|(picture, band)| picture.crop(band))
            .collect();
        let objects = parts.iter().enumerate().flat_map(|(source, part)| {
            (0..OBJECTS).map(move |number| {
                let identity = (source * OBJECTS + number) as u32;
                Object::cut(part, source, identity, seed)
            })
        });
        Self { objects: objects.collect(), backgrounds: parts.iter().map(Texture::new).collect() }
    }

    fn scene(&self, config: SceneConfig, number: u64, seed: u64) -> SceneVideo<'_> {
        let seed = seed.wrapping_mul(1 << 32).wrapping_add(number);
        SceneVideo::new(config, &self.backgrounds, &self.objects, seed)
    }
}

/// Writes a scene in the layout of DAVIS 2017.
fn davis(root: &Path, scene: usize, video: SceneVideo<'_>) -> anyhow::Result<()> {
    let name = format!("scene-{scene:03}");
    let [images, masks] =
        ["JPEGImages", "Annotations"].map(|it| root.join(it).join("480p").join(&name));
    create(&images)?;
    create(&masks)?;
    let [height, width] = SIZE.map(|it| it as u16);
    for (idx, frame) in video.enumerate() {
        let path = images.join(format!("{idx:05}.jpg"));
        let encoder = Encoder::new_file(&path, QUALITY)
            .with_context(|| format!("could not create {}", path.display()))?;
        encoder
            .encode(&frame.rgb, width, height, ColorType::Rgb)
            .with_context(|| format!("could not write {}", path.display()))?;
        let path = masks.join(format!("{idx:05}.png"));
        write_mask(&path, &frame.mask)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

/// A PNG whose palette's indices are the objects.
fn write_mask(path: &Path, mask: &[u8]) -> anyhow::Result<()> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, SIZE[1] as u32, SIZE[0] as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255_u8).flat_map(colour).collect::<Vec<u8>>());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(mask)?;
    writer.finish()?;
    Ok(())
}

/// The colour of an object in DAVIS and Pascal VOC: its bits, spread over the three colours.
fn colour(object: u8) -> [u8; 3] {
    let bit = |colour: usize, place: usize| (object >> (3 * place + colour) & 1) << (7 - place);
    [0, 1, 2].map(|colour| (0..3).filter(|it| 3 * it + colour < 8).map(|it| bit(colour, it)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_davis() {
        let wanted = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]];
        assert_eq!([0, 1, 2, 3, 4].map(colour), wanted);
        assert_eq!(colour(8), [64, 0, 0]);
        assert_eq!(colour(255), [224, 224, 192]);
    }
}
