use std::{f64::consts::TAU, sync::Arc};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{
    BatchConfig, ClipConfig, Config, SourceConfig, StreamConfig, Synthetic, clip::Frame, config,
    start,
};

/// The true motion: pixels, radians, and the logarithm of the scale.
#[derive(Clone, Copy, Debug)]
struct TrueMotion {
    shift: [f64; 2],
    theta: f64,
    ln_scale: f64,
}

const STILL: TrueMotion = TrueMotion { shift: [0.0; 2], theta: 0.0, ln_scale: 0.0 };

/// Shifts, rotations and scales, alone and together, up to about a tenth of a frame of 128 pixels.
const MOTIONS: [TrueMotion; 8] = [
    STILL,
    TrueMotion { shift: [0.4, -0.3], ..STILL },
    TrueMotion { shift: [-5.3, 2.6], ..STILL },
    TrueMotion { shift: [9.0, 11.5], ..STILL },
    TrueMotion { theta: 0.05, ..STILL },
    TrueMotion { ln_scale: -0.04, ..STILL },
    TrueMotion { shift: [3.2, -4.7], theta: -0.03, ln_scale: 0.03 },
    TrueMotion { shift: [-2.4, -1.1], theta: 0.04, ln_scale: -0.05 },
];

impl TrueMotion {
    /// Where the point that is now at `[x, y]` was.
    fn before(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [x, y] = [x - self.shift[0], y - self.shift[1]];
        let (sin, cos) = self.theta.sin_cos();
        [cos * x + sin * y, cos * y - sin * x].map(|it| it / self.ln_scale.exp())
    }
}

/// A frame from the brightness at a point, in pixels from its middle.
fn frame([height, width]: [usize; 2], light: impl Fn([f64; 2]) -> f64) -> Frame {
    let middle = |it: usize, count: usize| it as f64 - (count - 1) as f64 / 2.0;
    let pixels: Vec<u8> = (0..height * width)
        .flat_map(|idx| {
            let at = [middle(idx % width, width), middle(idx / width, height)];
            [light(at).round().clamp(0.0, 255.0) as u8; 3]
        })
        .collect();
    Frame { pixels: Arc::from(pixels), time: 0.0, captured: None }
}

/// Many waves of 5 to 60 pixels, in all directions.
fn waves(seed: u64) -> impl Fn([f64; 2]) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let waves: Vec<[f64; 3]> = (0..24)
        .map(|_| {
            let (length, turn) = (random.random_range(5.0..60.0), random.random_range(0.0..TAU));
            [
                TAU / length * f64::cos(turn),
                TAU / length * f64::sin(turn),
                random.random::<f64>() * TAU,
            ]
        })
        .collect();
    move |[x, y]| {
        128.0 + waves.iter().map(|[a, b, phase]| 9.0 * (a * x + b * y + phase).sin()).sum::<f64>()
    }
}

/// Errors in pixels (the larger of both axes), radians and logarithm. The motion must be valid.
fn errors(found: &[f32], [height, width]: [usize; 2], truth: TrueMotion) -> [f64; 3] {
    let &[x, y, theta, ln_scale, valid] = found else { panic!("{found:?}") };
    assert_eq!(valid, 1.0, "{truth:?}: {found:?}");
    let x = f64::from(x) * width as f64 - truth.shift[0];
    let y = f64::from(y) * height as f64 - truth.shift[1];
    let turn = f64::from(theta) - truth.theta;
    [x.abs().max(y.abs()), turn.abs(), (f64::from(ln_scale) - truth.ln_scale).abs()]
}

fn assert_close(errors: [f64; 3], limits: [f64; 3], what: impl std::fmt::Debug) {
    assert!(errors.iter().zip(limits).all(|(a, b)| *a <= b), "{what:?}: {errors:?}");
}

#[test]
fn a_known_motion_of_a_textured_frame_is_recovered() {
    for size in [[128, 128], [96, 160], [64, 64]] {
        let share = size[0].min(size[1]) as f64 / 128.0;
        for (seed, truth) in MOTIONS.into_iter().enumerate() {
            let truth = TrueMotion { shift: truth.shift.map(|it| it * share), ..truth };
            let light = waves(seed as u64);
            let frames = [frame(size, &light), frame(size, |it| light(truth.before(it)))];
            let found = estimate(&frames, size);
            assert_close(errors(&found, size, truth), [0.05, 0.002, 0.002], (size, truth));
        }
    }
}

#[test]
fn the_motion_back_is_the_inverse_and_each_pair_has_its_own() {
    let (size, truth, light) = ([96, 96], TrueMotion { shift: [4.0, 0.0], ..STILL }, waves(1));
    let frames = [frame(size, &light), frame(size, |it| light(truth.before(it)))];
    let there_and_back = [frames[0].clone(), frames[1].clone(), frames[0].clone()];
    let found = estimate(&there_and_back, size);
    assert_eq!(found.len(), 2 * VALUES_PER_PAIR);
    let back = TrueMotion { shift: [-4.0, 0.0], ..STILL };
    assert_close(errors(&found[..VALUES_PER_PAIR], size, truth), [0.05, 0.001, 0.001], "there");
    assert_close(errors(&found[VALUES_PER_PAIR..], size, back), [0.05, 0.001, 0.001], "back");
    assert_eq!(found, estimate(&there_and_back, size), "the trials are seeded");
}

/// At least two frames of a stream, of the size `[height, width]`.
fn streamed(source: SourceConfig, size: [usize; 2], interval: f64) -> Vec<Frame> {
    let clip = ClipConfig::new(4, interval);
    let stream = StreamConfig::new("it", source);
    let batch = BatchConfig::new(1, 1);
    let config = Config::new(size, clip, batch, vec![stream]);
    let ingest = start(&config, 0).unwrap();
    let batch = ingest.batches().recv().unwrap();
    let frames = batch.pixels.chunks(size[0] * size[1] * 3).zip(&batch.times);
    frames
        .map(|(pixels, time)| Frame { pixels: pixels.into(), time: *time, captured: None })
        .collect()
}

#[test]
fn a_known_motion_of_a_real_frame_is_recovered() {
    for name in ["street", "tree", "cup"] {
        let path = format!("{}/../tests/media/{name}.mp4", env!("CARGO_MANIFEST_DIR"));
        let whole = streamed(SourceConfig::Files(path), [224, 224], 0.2).remove(0);
        let whole = Grey::of_rgb(&whole.pixels, [224, 224]);
        let light = |at: [f64; 2]| f64::from(whole.at(at.map(|it| (it + 111.5) as f32)));
        let size = [128, 128];
        for truth in MOTIONS {
            let frames = [frame(size, light), frame(size, |it| light(truth.before(it)))];
            let found = estimate(&frames, size);
            assert_close(errors(&found, size, truth), [0.15, 0.003, 0.003], (name, truth));
        }
    }
}

#[test]
fn an_object_on_a_third_of_the_frame_is_outvoted() {
    let size = [128, 128];
    let (scene, other) = (waves(3), waves(4));
    for truth in MOTIONS {
        let own = TrueMotion { shift: [-6.0, 5.0], theta: 0.02, ln_scale: 0.0 };
        // An object that moves by itself covers the left 30 % of the frame.
        let covered = |[x, _]: [f64; 2]| x < -25.6;
        let frames = [STILL, truth].map(|camera| {
            let own = if camera.shift == STILL.shift && camera.theta == 0.0 { STILL } else { own };
            frame(size, |it| match covered(it) {
                true => other(own.before(it)),
                false => scene(camera.before(it)),
            })
        });
        let found = estimate(&frames, size);
        assert_close(errors(&found, size, truth), [0.1, 0.002, 0.002], truth);
    }
}

#[test]
fn three_outliers_in_ten_points_are_outvoted() {
    for (seed, truth) in MOTIONS.into_iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let pairs: Vec<PointPair> = (0..100)
            .map(|idx| {
                let to = [(); 2].map(|()| random.random_range(-60.0..60.0));
                let noise = [(); 2].map(|()| random.random_range(-0.1..0.1));
                let from = truth.before(to);
                let to = [to[0] + noise[0], to[1] + noise[1]];
                // They agree with each other, which is worse than noise.
                let [x, y] = if idx % 10 < 3 { [7.0, -3.0] } else { [0.0; 2] };
                [from, [to[0] + x, to[1] + y]]
            })
            .collect();
        let it = consensus(&pairs, 128.0, &mut random::consensus()).unwrap();
        let [x, y] = it.shift();
        let off = (x - truth.shift[0]).abs().max((y - truth.shift[1]).abs());
        let found =
            [off, (it.angle() - truth.theta).abs(), (it.scale().ln() - truth.ln_scale).abs()];
        assert_close(found, [0.03, 0.001, 0.001], truth);
    }
}

#[test]
fn moving_discs_before_a_fixed_camera_are_outvoted() {
    for seed in 0..5 {
        let source = Synthetic { shapes: 3, seed, ..Synthetic::default() };
        for size in [[64, 64], [112, 112], [96, 160]] {
            let frames = streamed(SourceConfig::Synthetic(source.clone()), size, 0.12);
            for found in estimate(&frames, size).chunks(VALUES_PER_PAIR) {
                assert_close(errors(found, size, STILL), [0.05, 0.002, 0.002], (seed, size));
            }
        }
    }
}

#[test]
fn frames_without_trackable_texture_give_no_motion() {
    let size = [96, 96];
    let flat = || frame(size, |_| 128.0);
    // Edges of one direction slide along themselves.
    let stripes = || frame(size, |[x, _]| 128.0 + 60.0 * (x / 4.0).sin());
    // Something small before a flat background.
    let spot = || frame(size, |it| if it[0].hypot(it[1]) < 4.0 { 255.0 } else { 0.0 });
    let (one, other) = (frame(size, waves(1)), frame(size, waves(2)));
    for frames in [[flat(), flat()], [stripes(), stripes()], [spot(), spot()], [one, other]] {
        assert_eq!(estimate(&frames, size), [0.0; VALUES_PER_PAIR]);
    }
}

#[test]
fn the_smallest_frame_is_large_enough() {
    let (size, light) = ([config::SMALLEST_MOTION_FRAME; 2], waves(5));
    let truth = TrueMotion { shift: [1.2, -0.7], ..STILL };
    let frames = [frame(size, &light), frame(size, |it| light(truth.before(it)))];
    assert_close(errors(&estimate(&frames, size), size, truth), [0.1, 0.004, 0.004], truth);
    assert!(estimate(&frames[..1], size).is_empty() && estimate(&[], size).is_empty());
}
