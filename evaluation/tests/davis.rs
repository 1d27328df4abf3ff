//! Reading folders in the layout of DAVIS 2017.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::path::Path;

use evaluation::dense::davis::{Error, read_mask, videos};
use png::{BitDepth, ColorType, Encoder};
use tempfile::TempDir;

/// A PNG of two rows of three pixels, whose bytes are given.
fn write_png(path: &Path, colour: ColorType, depth: BitDepth, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = Encoder::new(File::create(path).unwrap(), 3, 2);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == ColorType::Indexed {
        // Every colour is the same, so that only the index can tell objects apart.
        encoder.set_palette(vec![9; 3 << (depth as u8)]);
    }
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
}

fn write_video(root: &Path, resolution: &str, name: &str, frames: usize) {
    for frame in 0..frames {
        let image = root.join(format!("JPEGImages/{resolution}/{name}/{frame:05}.jpg"));
        fs::create_dir_all(image.parent().unwrap()).unwrap();
        File::create(image).unwrap();
        let mask = root.join(format!("Annotations/{resolution}/{name}/{frame:05}.png"));
        write_png(&mask, ColorType::Indexed, BitDepth::Eight, &[0, 1, frame as u8, 0, 0, 255]);
    }
}

fn names(root: &Path) -> Vec<String> {
    videos(root).unwrap().into_iter().map(|it| it.name).collect()
}

#[test]
fn a_video_has_its_frames_and_the_palettes_indices() {
    for resolution in ["480p", "Full-Resolution", "."] {
        let root = TempDir::new().unwrap();
        write_video(root.path(), resolution, "goat", 3);
        let videos = videos(root.path()).unwrap();
        assert_eq!(videos.len(), 1, "{resolution}");
        assert!(videos[0].frames[2].ends_with("goat/00002.jpg"));
        let masks = videos[0].read_masks().unwrap();
        assert_eq!((masks[2].width, masks[2].height), (3, 2));
        assert_eq!(masks[2].indices, [0, 1, 2, 0, 0, 255]);
    }
}

#[test]
fn of_several_resolutions_480p_is_read() {
    let root = TempDir::new().unwrap();
    write_video(root.path(), "480p", "small", 3);
    write_video(root.path(), "Full-Resolution", "large", 3);
    assert_eq!(names(root.path()), ["small"]);

    let root = TempDir::new().unwrap();
    write_video(root.path(), "1080p", "goat", 3);
    write_video(root.path(), "240p", "goat", 3);
    let error = videos(root.path()).unwrap_err();
    assert!(matches!(error, Error::Resolutions { .. }), "{error}");
}

#[test]
fn the_list_chooses_the_videos_and_without_it_all_are_read() {
    let root = TempDir::new().unwrap();
    for name in ["soapbox", "bike", "goat"] {
        write_video(root.path(), "480p", name, 3);
    }
    assert_eq!(names(root.path()), ["bike", "goat", "soapbox"]);
    fs::create_dir_all(root.path().join("ImageSets/2017")).unwrap();
    fs::write(root.path().join("ImageSets/2017/val.txt"), "soapbox\r\n\ngoat\n").unwrap();
    assert_eq!(names(root.path()), ["soapbox", "goat"]);
}

#[test]
fn indices_of_every_depth_are_unpacked() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("mask.png");
    for (depth, bytes, expected) in [
        (BitDepth::One, vec![0b0110_0000, 0b1000_0000], [0, 1, 1, 1, 0, 0]),
        (BitDepth::Two, vec![0b0110_1100, 0b1100_0000], [1, 2, 3, 3, 0, 0]),
        (BitDepth::Four, vec![0x12, 0xF0, 0x04, 0x50], [1, 2, 15, 0, 4, 5]),
        (BitDepth::Eight, vec![1, 2, 255, 0, 4, 5], [1, 2, 255, 0, 4, 5]),
    ] {
        write_png(&path, ColorType::Indexed, depth, &bytes);
        assert_eq!(read_mask(&path).unwrap().indices, expected, "{depth:?}");
    }
    write_png(&path, ColorType::Grayscale, BitDepth::Eight, &[1, 2, 255, 0, 4, 5]);
    assert_eq!(read_mask(&path).unwrap().indices, [1, 2, 255, 0, 4, 5]);
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    let named = |root: &TempDir, file: &str| {
        let message = match videos(root.path()) {
            Ok(videos) => videos[0].read_masks().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(file), "{message}");
        message
    };

    let root = TempDir::new().unwrap();
    named(&root, "JPEGImages");
    fs::create_dir_all(root.path().join("JPEGImages/480p")).unwrap();
    fs::create_dir_all(root.path().join("Annotations/480p")).unwrap();
    assert!(named(&root, "Annotations/480p").contains("no video"));
    write_video(root.path(), "480p", "goat", 2);
    assert!(named(&root, "480p/goat").contains("2 frames"));
    write_video(root.path(), "480p", "goat", 4);

    let mask = root.path().join("Annotations/480p/goat/00002.png");
    write_png(&mask, ColorType::Rgb, BitDepth::Eight, &[0; 18]);
    assert!(named(&root, "goat/00002.png").contains("palette"));
    fs::write(&mask, "no picture").unwrap();
    assert!(named(&root, "goat/00002.png").contains("PNG"));
    let encoder = Encoder::new(File::create(&mask).unwrap(), 1, 1);
    encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
    assert!(named(&root, "goat/00002.png").contains("1x1"));

    fs::remove_file(&mask).unwrap();
    assert!(named(&root, "goat/00002.png").contains("missing"));
    fs::rename(root.path().join("JPEGImages/480p/goat/00002.jpg"), root.path().join("away"))
        .unwrap();
    write_png(&mask, ColorType::Indexed, BitDepth::Eight, &[0; 6]);
    assert!(named(&root, "goat/00002.jpg").contains("missing"));
}
