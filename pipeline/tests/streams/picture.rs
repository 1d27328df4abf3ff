//! What a decoded frame looks like: orientation, aspect of pixels, colours, changes of size.

use std::{fs, time::Duration};

use pipeline::{Batch, Fit, probe};

use crate::media::{config, files, h264, make, train};

/// Mean of each colour in a part of the first frame, given in rows and columns.
fn mean(batch: &Batch, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> [f64; 3] {
    let width = batch.shape[3];
    let at = |row: usize, column: usize, colour: usize| {
        f64::from(batch.pixels[(row * width + column) * 3 + colour])
    };
    let n = (rows.len() * columns.len()) as f64;
    [0, 1, 2].map(|it| {
        let row = |row| columns.clone().map(|column| at(row, column, it)).sum::<f64>();
        rows.clone().map(row).sum::<f64>() / n
    })
}

/// An mp4 with another matrix in the header of its track.
fn turned(mp4: &[u8], [a, b, c, d]: [i32; 4]) -> Vec<u8> {
    let header = mp4.windows(4).position(|it| it == b"tkhd").unwrap();
    let mut turned = mp4.to_vec();
    // Two columns of the 3x3 matrix, in 16.16 fixed point, 44 bytes into the header.
    for (idx, value) in [(0, a), (1, b), (3, c), (4, d)] {
        let at = header + 44 + idx * 4;
        turned[at..at + 4].copy_from_slice(&(value << 16).to_be_bytes());
    }
    turned
}

fn first(path: std::path::PathBuf, fit: Fit) -> Batch {
    let mut config = config(vec![files("it", path)]);
    config.fit = fit;
    train(&config, 0, 1).0.remove(0)
}

#[test]
fn frames_are_rotated_as_their_metadata_says() {
    let folder = tempfile::tempdir().unwrap();
    // Colour bars: white on the left, blue on the right.
    let launch = format!("{} ! mp4mux ! OUT", h264(20, [128, 128], "smpte75"));
    let upright = fs::read(make(&launch, &folder.path().join("0.mp4"))).unwrap();
    for (degrees, matrix) in
        [(0, [1, 0, 0, 1]), (90, [0, 1, -1, 0]), (180, [-1, 0, 0, -1]), (270, [0, -1, 1, 0])]
    {
        let path = folder.path().join(format!("{degrees}.mp4"));
        fs::write(&path, turned(&upright, matrix)).unwrap();
        let found = probe(&files("it", &path), Duration::from_secs(5)).remove(0).unwrap();
        assert_eq!((found.rotation, found.mirrored), (degrees, false), "{found:?}");
        let batch = first(path, Fit::Crop);
        // The edge where the left side of the stored frame ends up.
        let middle = 12..16;
        let edges = [
            (0, mean(&batch, middle.clone(), 0..3)),
            (90, mean(&batch, 0..3, middle.clone())),
            (180, mean(&batch, middle.clone(), 29..32)),
            (270, mean(&batch, 29..32, middle)),
        ];
        for (turn, [red, green, blue]) in edges {
            let white = red.min(green).min(blue) > 150.0;
            assert_eq!(white, turn == degrees, "{degrees}: {turn} {red} {green} {blue}");
        }
    }
}

#[test]
fn the_shape_of_pixels_is_honoured() {
    let folder = tempfile::tempdir().unwrap();
    // Stored square, displayed twice as wide: a crop to a square takes the middle half.
    let launch = "videotestsrc num-buffers=20 pattern=smpte75 ! \
        video/x-raw,format=I420,width=128,height=128,framerate=25/1,pixel-aspect-ratio=2/1 ! \
        x264enc speed-preset=ultrafast ! mp4mux ! OUT";
    let path = make(launch, &folder.path().join("wide.mp4"));
    let [red, green, blue] = mean(&first(path.clone(), Fit::Crop), 4..8, 0..3);
    // The second bar, yellow, is at a quarter of the width; the first is white.
    assert!(red > 120.0 && green > 120.0 && blue < 100.0, "{red} {green} {blue}");
    let squashed = mean(&first(path, Fit::Squash), 4..8, 0..3);
    assert!(squashed.iter().all(|&it| it > 150.0), "{squashed:?}");
}

#[test]
fn colours_survive_whatever_the_matrix() {
    let folder = tempfile::tempdir().unwrap();
    for (name, colorimetry) in [("601", "bt601"), ("709", "bt709"), ("full", "1:4:0:0")] {
        let launch = format!(
            "videotestsrc num-buffers=20 pattern=red ! video/x-raw,format=RGB,width=128,height=96,\
             framerate=25/1 ! videoconvert ! video/x-raw,format=I420,colorimetry={colorimetry} ! \
             x264enc speed-preset=ultrafast quantizer=10 ! matroskamux ! OUT"
        );
        let path = make(&launch, &folder.path().join(format!("{name}.mkv")));
        let [red, green, blue] = mean(&first(path, Fit::Crop), 0..32, 0..32);
        assert!(red > 245.0 && green < 10.0 && blue < 10.0, "{name}: {red} {green} {blue}");
    }
}

#[test]
fn odd_sizes_and_other_formats_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format, encoder) in [
        ("odd", "I420,width=161,height=91", "avenc_ffv1"),
        ("fine", "Y42B,width=160,height=90", "avenc_ffv1"),
        ("grey", "GRAY8,width=160,height=90", "avenc_ffv1"),
        ("deep", "I420_10LE,width=160,height=90", "x264enc"),
        ("jpeg", "I420,width=160,height=90,colorimetry=1:4:0:0", "jpegenc"),
    ] {
        let launch = format!(
            "videotestsrc num-buffers=20 pattern=white ! video/x-raw,format=RGB ! videoconvert ! \
             video/x-raw,format={format},framerate=25/1 ! {encoder} ! matroskamux ! OUT"
        );
        let path = make(&launch, &folder.path().join(format!("{name}.mkv")));
        let white = mean(&first(path, Fit::Crop), 0..32, 0..32);
        assert!(white.iter().all(|&it| it > 250.0), "{name}: {white:?}");
    }
}

#[test]
fn a_change_of_size_breaks_the_stream_and_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    for (idx, size) in [[128, 96], [64, 96]].into_iter().enumerate() {
        let launch = format!(
            "{} ! video/x-h264,stream-format=byte-stream ! OUT",
            h264(40, size, ["white", "black"][idx])
        );
        bytes.extend(fs::read(make(&launch, &folder.path().join("part.h264"))).unwrap());
    }
    let path = folder.path().join("both.h264");
    fs::write(&path, bytes).unwrap();
    let (batches, reports) = train(&config(vec![files("both", path)]), 0, usize::MAX);
    assert_eq!(reports[0].counts.decoded, 80);
    let n_frame = 32 * 32 * 3;
    for batch in &batches {
        let [one, other] = [0, 1].map(|it| batch.pixels[it * n_frame]);
        assert!(one.abs_diff(other) < 10, "a clip spans the change: {one} {other}");
    }
    let bright = |it: &Batch| it.pixels[0] > 128;
    assert!(bright(&batches[0]) && !bright(&batches[batches.len() - 1]));
}
