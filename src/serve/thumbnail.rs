//! A frame as a small JPEG.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jpeg_encoder::{ColorType, Encoder};
use pipeline::Batch;

/// Quality of the pictures, 1..100.
const QUALITY: u8 = 80;

/// The first frame of clip `idx`, as `data:image/jpeg;base64,...`.
///
/// # Errors
/// The frame is larger than a JPEG can be.
pub(super) fn first_frame(batch: &Batch, idx: usize) -> anyhow::Result<String> {
    let [_, frames, height, width, channels] = batch.shape;
    let size = height * width * channels;
    let pixels = &batch.pixels[idx * frames * size..][..size];
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg(pixels, [height, width])?)))
}

/// RGB `[height, width, 3]` as a JPEG.
pub(super) fn jpeg(pixels: &[u8], [height, width]: [usize; 2]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = (u16::try_from(width)?, u16::try_from(height)?);
    Encoder::new(&mut bytes, QUALITY)
        .encode(pixels, width, height, ColorType::Rgb)
        .context("could not encode a thumbnail")?;
    Ok(bytes)
}
