use std::{collections::HashSet, fs};

use super::*;

const SIZE: [usize; 2] = [64, 64];

fn drawn(seed: u64) -> Sequences {
    MovingDigits { seed, ..MovingDigits::default() }.open().unwrap()
}

fn frames(clip: &[u8]) -> impl Iterator<Item = &[u8]> {
    clip.chunks(clip.len() / FRAMES)
}

/// Centre of brightness of a frame, in pixels of the field.
fn centre(frame: &[u8], [height, width]: [usize; 2]) -> [f64; 2] {
    let (mut mass, mut sum) = (0.0, [0.0; 2]);
    for (idx, pixel) in frame.chunks(3).enumerate() {
        let light = f64::from(pixel[0]);
        mass += light;
        sum[0] += light * ((idx % width) as f64 + 0.5) * 64.0 / width as f64;
        sum[1] += light * ((idx / width) as f64 + 0.5) * 64.0 / height as f64;
    }
    sum.map(|it| it / mass)
}

#[test]
fn a_sequence_depends_on_the_seed_and_its_number_alone() {
    let (one, other) = (drawn(3), drawn(3));
    let backwards: Vec<_> = (0..20).rev().map(|it| one.truth(it)).collect();
    let forwards: Vec<_> = (0..20).map(|it| other.truth(it)).collect();
    assert!(backwards.iter().rev().eq(&forwards));
    assert_eq!(one.clip(7, SIZE), other.clip(7, SIZE));
    assert_ne!(one.truth(7), drawn(4).truth(7));
    assert!(forwards.windows(2).all(|it| it[0] != it[1]));
}

#[test]
fn one_axis_changes_its_velocity_after_the_third_frame() {
    let sequences = drawn(0);
    for number in 0..200 {
        let it = sequences.truth(number);
        assert!(it.centres[0].iter().all(|it| (8.0..16.0).contains(it)), "{it:?}");
        assert!(it.velocity_before.iter().all(|it| (0.0..3.0).contains(it)), "{it:?}");
        let other = 1 - it.axis;
        assert_eq!(it.velocity_before[other], it.velocity_after[other], "{it:?}");
        for (frame, pair) in it.centres.windows(2).enumerate() {
            let velocity = if frame < 2 { it.velocity_before } else { it.velocity_after };
            for axis in 0..2 {
                let moved = pair[1][axis] - pair[0][axis];
                assert!((moved - velocity[axis]).abs() < 1e-9, "frame {frame} of {it:?}");
            }
        }
    }
}

#[test]
fn the_change_is_normal_with_two_thirds_of_the_velocity() {
    let sequences = drawn(1);
    let n = 4000;
    let truths: Vec<_> = (0..n).map(|it| sequences.truth(it)).collect();
    let turns = truths.iter().map(|it| it.velocity_after[it.axis] / it.velocity_before[it.axis]);
    let turns: Vec<f64> = turns.map(|it| (it - 1.0) / (2.0 / 3.0)).collect();
    let mean = turns.iter().sum::<f64>() / n as f64;
    let variance = turns.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / n as f64;
    // Three standard errors of 4000 draws.
    assert!(mean.abs() < 0.048 && (variance - 1.0).abs() < 0.068, "{mean} {variance}");
    let down = truths.iter().filter(|it| it.axis == 1).count();
    assert!(down.abs_diff(2000) < 95, "{down} of 4000 changed in y");
    let mut labels = [0; 10];
    truths.iter().for_each(|it| labels[usize::from(it.label)] += 1);
    assert!(labels.iter().all(|it| (343..457).contains(it)), "{labels:?}");
}

#[test]
fn the_digit_is_where_the_truth_says_at_any_size() {
    let sequences = drawn(2);
    for size in [[64, 64], [128, 128], [32, 32], [96, 48], [20, 20]] {
        // A tenth of a pixel of the frame, in pixels of the field.
        let error = 0.1 * 64.0 / size[0].min(size[1]) as f64;
        let (mut checked, mut zeros) = (0, 0);
        for number in 0..60 {
            let truth = sequences.truth(number);
            let inside = |it: &[f64; 2]| it.iter().all(|it| (8.0..56.0).contains(it));
            if !truth.centres.iter().all(inside) {
                continue;
            }
            let clip = sequences.clip(number, size);
            assert_eq!(clip.len(), FRAMES * size[0] * size[1] * 3);
            let found: Vec<_> = frames(&clip).map(|it| centre(it, size)).collect();
            for (found_pair, pair) in found.windows(2).zip(truth.centres.windows(2)) {
                for axis in 0..2 {
                    let moved = found_pair[1][axis] - found_pair[0][axis];
                    let expected = pair[1][axis] - pair[0][axis];
                    assert!((moved - expected).abs() < error, "{size:?}: {moved} {expected}");
                }
            }
            // Only a zero is as heavy on the left as on the right.
            if truth.label == 0 {
                let offset = [0, 1].map(|it| found[0][it] - truth.centres[0][it]);
                assert!(offset.iter().all(|it| it.abs() < 0.05), "{offset:?}");
                zeros += 1;
            }
            checked += 1;
        }
        assert!(checked > 20 && zeros > 0, "{checked} digits stayed in the field, {zeros} zeros");
    }
}

#[test]
fn a_digit_that_leaves_the_field_is_cut_off() {
    let glyph = drawn(5).glyph(0).0;
    let light = |centre| {
        let picture = glyph.draw(centre, SIZE);
        picture.chunks(3).map(|it| u64::from(it[0])).sum::<u64>()
    };
    let whole = light([32.0, 32.0]);
    for (inside, outside) in [([64.0, 30.0], [80.0, 30.0]), ([30.0, 0.0], [30.0, -8.5])] {
        assert!(light(inside) > 0 && light(inside) < whole, "{inside:?}");
        assert_eq!(light(outside), 0, "{outside:?}");
    }
    assert_eq!(glyph.draw([1e9, -1e9], SIZE).iter().max(), Some(&0));
}

#[test]
fn frames_are_white_on_black_and_no_two_digits_are_alike() {
    let sequences = drawn(0);
    let mut seen = HashSet::new();
    for number in 0..100 {
        let glyph = sequences.glyph(number).0;
        // In the middle of the field, where all sequences would look alike if their digits did.
        let picture = glyph.draw([32.0, 32.0], SIZE);
        assert!(picture.chunks(3).all(|it| it[0] == it[1] && it[1] == it[2]));
        assert_eq!((picture.iter().min(), picture.iter().max()), (Some(&0), Some(&255)));
        let rows = 24..40;
        let outside = |idx: usize| !rows.contains(&(idx / 64)) || !rows.contains(&(idx % 64));
        assert!((picture.chunks(3).enumerate()).all(|(idx, it)| it[0] == 0 || !outside(idx)));
        assert!(seen.insert(picture), "digit {number} was there before");
    }
}

#[test]
fn the_ten_digits_are_ten_shapes() {
    // The same hand writes all ten.
    let pictures: Vec<_> = (0..10)
        .map(|label| {
            let random = &mut random::sequence(0, 0, SequencePart::Digit);
            strokes::draw(label, random).draw([32.0, 32.0], SIZE)
        })
        .collect();
    for (label, one) in pictures.iter().enumerate() {
        for (other, another) in pictures.iter().enumerate().skip(label + 1) {
            let differs = one.chunks(3).zip(another.chunks(3));
            let differs = differs.filter(|(a, b)| a[0].abs_diff(b[0]) > 128).count();
            assert!(differs >= 8, "{label} and {other} differ in {differs} pixels");
        }
    }
}

#[test]
fn futures_share_the_past_and_change_independently() {
    let sequences = drawn(6);
    let truth = sequences.truth(11);
    let futures = sequences.futures(11, 2000, 6);
    assert_eq!(futures, sequences.futures(11, 2000, 6));
    assert_ne!(futures, sequences.futures(11, 2000, 7));
    let constant = |axis: usize, it: &[[f64; 2]; FRAMES]| {
        (it[3][axis] - it[2][axis] - truth.velocity_before[axis]).abs() < 1e-9
    };
    let mut turned = [0; 2];
    for future in &futures {
        assert_eq!(future[..3], truth.centres[..3]);
        assert_ne!(*future, truth.centres);
        turned[0] += usize::from(!constant(0, future));
        turned[1] += usize::from(!constant(1, future));
    }
    assert_eq!(turned[0] + turned[1], 2000, "one axis changes, never both");
    assert!(turned[0].abs_diff(1000) < 67, "{turned:?}");
    // On average the velocity does not change.
    for axis in 0..2 {
        let mean = futures.iter().map(|it| it[8][axis]).sum::<f64>() / 2000.0;
        let straight = truth.centres[0][axis] + 8.0 * truth.velocity_before[axis];
        let spread = 6.0 * truth.velocity_before[axis] * CHANGE * 0.5_f64.sqrt();
        assert!((mean - straight).abs() < 3.0 * spread / 2000_f64.sqrt(), "{mean} {straight}");
    }
}

/// Sequences from a file of digits with these lines.
fn scanned(lines: &[String]) -> Result<Sequences, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.csv");
    fs::write(&path, lines.join("\n")).unwrap();
    let config = MovingDigits { digits: Some(path), ..MovingDigits::default() };
    config.open().map_err(|it| it.to_string())
}

fn line(value: &str, label: &str) -> String {
    format!("{},{label}", [value; 64].join(","))
}

#[test]
fn scanned_digits_have_their_labels_and_their_grey() {
    // As scikit-learn writes them, and as a spreadsheet does.
    let sequences = scanned(&[line("8.000e+00", "3.000e+00"), line(" 16", "7"), "".into()]);
    let sequences = sequences.unwrap();
    let mut labels = HashSet::new();
    for number in 0..40 {
        let truth = sequences.truth(number);
        let grey = if truth.label == 3 { 128 } else { 255 };
        assert_eq!(sequences.clip(number, SIZE).iter().max(), Some(&grey));
        labels.insert(truth.label);
    }
    assert_eq!(labels, HashSet::from([3, 7]));
}

#[test]
fn a_scanned_digit_keeps_its_orientation() {
    // Ink in the upper right quarter.
    let ink = |it: usize| if it / 8 < 4 && it % 8 >= 4 { "16" } else { "0" };
    let values: Vec<_> = (0..64).map(ink).collect();
    let sequences = scanned(&[format!("{},1", values.join(","))]).unwrap();
    let truth = sequences.truth(0).centres[0];
    let clip = sequences.clip(0, SIZE);
    let found = centre(frames(&clip).next().unwrap(), SIZE);
    let offset = [found[0] - truth[0], found[1] - truth[1]];
    assert!((offset[0] - 4.0).abs() < 0.1 && (offset[1] + 4.0).abs() < 0.1, "{offset:?}");
}

#[test]
fn a_bad_file_of_digits_is_named_with_its_line() {
    let good = || line("1", "1");
    for (second, says) in [
        (line("1", "ten"), "\"ten\" is not a number"),
        (line("17", "1"), "the value 17 is not in 0 to 16"),
        (line("nan", "1"), "the value NaN is not in 0 to 16"),
        (line("1", "10"), "the label 10 is not a digit"),
        (line("1", "1.5"), "the label 1.5 is not a digit"),
        (line("1", "1,1"), "has 66 columns"),
    ] {
        let text = scanned(&[good(), second]).unwrap_err();
        assert!(text.contains("digits.csv:2: ") && text.contains(says), "{text}");
        assert!(text.contains("load_digits"), "{text}");
    }
    let text = scanned(&["".into()]).unwrap_err();
    assert!(text.contains("digits.csv: is empty"), "{text}");
    let config = MovingDigits { digits: Some("/no/such.csv".into()), ..MovingDigits::default() };
    let text = config.open().unwrap_err().to_string();
    assert!(text.contains("/no/such.csv: cannot be read"), "{text}");
}
