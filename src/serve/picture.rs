//! A frame as a picture that browsers show, without a codec.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipeline::Batch;

/// Bytes before the pixels of a Windows bitmap: file header and BITMAPINFOHEADER.
const HEADER: usize = 14 + 40;

/// The first frame of clip `idx`, `data:image/bmp;base64,...`.
pub(crate) fn first_frame(batch: &Batch, idx: usize) -> String {
    let [_, frames, height, width, channels] = batch.shape;
    let size = height * width * channels;
    let pixels = &batch.pixels[idx * frames * size..][..size];
    format!("data:image/bmp;base64,{}", STANDARD.encode(bitmap(pixels, [height, width])))
}

/// RGB `[height, width, 3]` as a bitmap of 24 bits a pixel: rows bottom to top, BGR, each padded
/// to four bytes.
fn bitmap(pixels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    let row = (width * 3).next_multiple_of(4);
    let length = HEADER + row * height;
    let mut bytes = Vec::with_capacity(length);
    let number = |it: usize| (it as u32).to_le_bytes();
    bytes.extend(b"BM");
    for it in [length, 0, HEADER, 40, width, height] {
        bytes.extend(number(it));
    }
    // One plane, 24 bits, no compression; the rest may be zero.
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for line in pixels.chunks_exact(width * 3).rev() {
        bytes.extend(line.chunks_exact(3).flat_map(|it| [it[2], it[1], it[0]]));
        bytes.resize(bytes.len() + row - width * 3, 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_holds_padded_rows_bottom_to_top() {
        let red_over_blue = [255, 0, 0, 0, 0, 255];
        let bytes = bitmap(&red_over_blue, [2, 1]);
        assert_eq!(bytes.len(), HEADER + 8);
        assert_eq!(bytes[..2], *b"BM");
        assert_eq!(bytes[HEADER..], [255, 0, 0, 0, 0, 0, 255, 0]);
    }
}
