//! Reads a folder with the layout of DAVIS 2017.
//!
//! ```text
//! JPEGImages/480p/VIDEO/00000.jpg    the frames; only their paths are read here
//! Annotations/480p/VIDEO/00000.png   their masks: the palette's index is the object
//! ImageSets/2017/val.txt             the names of the videos; without it, all of Annotations
//! ```
//!
//! `480p` may have another name, or be missing.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, DecodingError};

use super::Mask;

/// A folder that cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or a folder cannot be read.
    #[error(
        "{path}: {source}; the folder needs JPEGImages and Annotations as DAVIS 2017 has them",
        path = path.display()
    )]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder has several resolutions, and none of them is `480p`.
    #[error("{path} has several resolutions; name one of them 480p", path = path.display())]
    Resolutions {
        /// The folder.
        path: PathBuf,
    },
    /// A folder has no videos.
    #[error("{path} names no video; list names in it or add folders", path = path.display())]
    NoVideo {
        /// The list or folder.
        path: PathBuf,
    },
    /// A video is too short: its first and last frame are not scored.
    #[error(
        "{path} has {frames} frames and needs three; add frames or take the video off the list",
        path = path.display()
    )]
    TooShort {
        /// The folder of the video's frames.
        path: PathBuf,
        /// How many it has.
        frames: usize,
    },
    /// A frame has no mask, or a mask no frame.
    #[error("{path} is missing; every frame needs a mask and every mask a frame", path = path.display())]
    Unpaired {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A mask is no PNG.
    #[error("{path} is no readable PNG: {source}; restore it from the dataset", path = path.display())]
    Png {
        /// The mask.
        path: PathBuf,
        /// What the decoder says.
        source: DecodingError,
    },
    /// A mask has colours instead of indices.
    #[error(
        "{path} holds {colour:?} pixels of {depth:?} bits instead of a palette's indices; save it \
         as a PNG with a palette, whose index is the object",
        path = path.display()
    )]
    NoIndices {
        /// The mask.
        path: PathBuf,
        /// How the pixels are coded.
        colour: ColorType,
        /// Bits of a number.
        depth: BitDepth,
    },
    /// The masks of a video differ in size.
    #[error(
        "{path} is {width}x{height} and the video's first mask {first_width}x{first_height}; \
         bring all masks to the frames' size",
        path = path.display()
    )]
    Size {
        /// The mask.
        path: PathBuf,
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// The width of the first.
        first_width: usize,
        /// The height of the first.
        first_height: usize,
    },
}

/// One video: a frame and a mask for each moment, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// The name of its folder.
    pub name: String,
    /// The JPEG files of its frames.
    pub frames: Vec<PathBuf>,
    /// The PNG files of its masks.
    pub masks: Vec<PathBuf>,
}

impl Video {
    /// All masks.
    ///
    /// # Errors
    /// If one cannot be read, or differs in size from the first.
    pub fn read_masks(&self) -> Result<Vec<Mask>, Error> {
        let masks = self.masks.iter().map(|it| read_mask(it)).collect::<Result<Vec<_>, _>>()?;
        let Some(&Mask { width: first_width, height: first_height, .. }) = masks.first() else {
            return Ok(masks);
        };
        for (path, &Mask { width, height, .. }) in self.masks.iter().zip(&masks) {
            if (width, height) != (first_width, first_height) {
                let path = path.clone();
                return Err(Error::Size { path, width, height, first_width, first_height });
            }
        }
        Ok(masks)
    }
}

/// The videos below `root`: those of `ImageSets/2017/val.txt` in its order, or all that have masks,
/// by name.
///
/// # Errors
/// If a folder is missing or ambiguous, a video has fewer than three frames, or a frame has no
/// mask.
pub fn videos(root: &Path) -> Result<Vec<Video>, Error> {
    let list = root.join("ImageSets/2017/val.txt");
    let listed = if list.exists() { Some(read_list(&list)?) } else { None };
    let images = resolution(&root.join("JPEGImages"), listed.as_deref())?;
    let annotations = resolution(&root.join("Annotations"), listed.as_deref())?;
    let (names, from) = match listed {
        Some(names) => (names, &list),
        None => (folders(&annotations)?, &annotations),
    };
    if names.is_empty() {
        return Err(Error::NoVideo { path: from.clone() });
    }
    names.into_iter().map(|name| video(name, &images, &annotations)).collect()
}

/// The mask of a PNG: the palette's index of each pixel, or its grey value.
///
/// # Errors
/// If it is no PNG, or one with colours.
pub fn read_mask(path: &Path) -> Result<Mask, Error> {
    let file = File::open(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let png = |source| Error::Png { path: path.into(), source };
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // Any transformation would put colours in the indices' place.
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(png)?;
    let (colour, depth) = reader.output_color_type();
    let bits = match (colour, depth) {
        (ColorType::Indexed, depth) | (ColorType::Grayscale, depth @ BitDepth::Eight) => {
            depth as u8
        }
        _ => return Err(Error::NoIndices { path: path.into(), colour, depth }),
    };

    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let line = reader.output_line_size(width as u32).unwrap_or(0);
    let mut bytes = vec![0; line * height];
    reader.next_frame(&mut bytes).map_err(png)?;
    let rows = bytes.chunks_exact(line);
    let indices = rows.flat_map(|row| unpacked(row, bits).take(width)).collect();
    Ok(Mask::new(width, height, indices))
}

/// The indices of `bits` each in a row, the highest bits first.
fn unpacked(row: &[u8], bits: u8) -> impl Iterator<Item = u8> {
    let shifts = (0..8 / bits).rev().map(move |it| it * bits);
    let all = u8::MAX >> (8 - bits);
    row.iter().flat_map(move |byte| shifts.clone().map(move |it| (byte >> it) & all))
}

fn read_list(path: &Path) -> Result<Vec<String>, Error> {
    let text =
        fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    Ok(text.lines().map(str::trim).filter(|it| !it.is_empty()).map(Into::into).collect())
}

/// The folder that holds the videos: `480p`, the only resolution, or the folder itself.
fn resolution(folder: &Path, listed: Option<&[String]>) -> Result<PathBuf, Error> {
    let names = folders(folder)?;
    if names.iter().any(|it| it == "480p") {
        return Ok(folder.join("480p"));
    }
    // A listed video, or a folder with files in it, is no resolution.
    let is_video = |name: &String| match listed {
        Some(listed) if listed.contains(name) => Ok(true),
        _ => has_files(&folder.join(name)),
    };
    for name in &names {
        if is_video(name)? {
            return Ok(folder.into());
        }
    }
    match names.as_slice() {
        [] => Ok(folder.into()),
        [only] => Ok(folder.join(only)),
        _ => Err(Error::Resolutions { path: folder.into() }),
    }
}

fn video(name: String, images: &Path, annotations: &Path) -> Result<Video, Error> {
    let (images, annotations) = (images.join(&name), annotations.join(&name));
    let frames = files(&images, "jpg")?;
    let masks = files(&annotations, "png")?;
    let partner = |path: &PathBuf, folder: &Path, extension| {
        folder.join(path.file_name().unwrap_or_default()).with_extension(extension)
    };
    let missing_mask = frames.iter().map(|it| partner(it, &annotations, "png"));
    let missing_frame = masks.iter().map(|it| partner(it, &images, "jpg"));
    let missing = missing_mask
        .filter(|it| !masks.contains(it))
        .chain(missing_frame.filter(|it| !frames.contains(it)))
        .next();
    if let Some(path) = missing {
        return Err(Error::Unpaired { path });
    }
    if frames.len() < 3 {
        return Err(Error::TooShort { path: images, frames: frames.len() });
    }
    Ok(Video { name, frames, masks })
}

/// Names of the folders in a folder, sorted.
fn folders(folder: &Path) -> Result<Vec<String>, Error> {
    let paths = entries(folder)?.into_iter().filter(|it| it.is_dir());
    Ok(paths.filter_map(|it| Some(it.file_name()?.to_str()?.to_owned())).collect())
}

/// Files of a folder with this extension, sorted.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let matches = |it: &PathBuf| it.extension().is_some_and(|it| it == extension);
    Ok(entries(folder)?.into_iter().filter(matches).collect())
}

fn has_files(folder: &Path) -> Result<bool, Error> {
    Ok(entries(folder)?.iter().any(|it| it.is_file()))
}

/// Sorted paths in a folder, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.into(), source };
    let paths = fs::read_dir(folder).map_err(failed)?.map(|it| Ok(it.map_err(failed)?.path()));
    let mut paths = paths.collect::<Result<Vec<_>, Error>>()?;
    let is_hidden =
        |it: &PathBuf| it.file_name().is_some_and(|it| it.as_encoded_bytes()[0] == b'.');
    paths.retain(|it| !is_hidden(it));
    paths.sort();
    Ok(paths)
}
