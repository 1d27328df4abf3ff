//! Label propagation against the programs of DINO and CropMAE, and against what must hold;
//! `tests/python/propagation_cases.py` made the cases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use evaluation::Vectors;
use evaluation::dense::{InputSize, Labels, Mask, Neighbourhood, Protocol, TokenGrid, propagate};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    program: String,
    grid: [usize; 2],
    dim: usize,
    frames: usize,
    seed: u64,
    recent_frames: usize,
    neighbourhood: f32,
    top_k: usize,
    temperature: f32,
    patch: usize,
    /// Height and width of the masks.
    size: [usize; 2],
    mask: Vec<usize>,
    labels: Vec<Vec<f32>>,
    masks: Vec<Vec<usize>>,
}

impl Case {
    fn protocol(&self) -> Protocol {
        let [height, width] = self.grid.map(|it| it * self.patch);
        let protocol = match self.program.as_str() {
            "dino" => Protocol {
                neighbourhood: Neighbourhood::Square(self.neighbourhood as usize),
                ..Protocol::dino()
            },
            _ => Protocol {
                neighbourhood: Neighbourhood::Radius(self.neighbourhood),
                ..Protocol::crop_mae()
            },
        };
        Protocol {
            recent_frames: self.recent_frames,
            top_k: self.top_k,
            temperature: self.temperature,
            input: InputSize::Exact { width, height },
            ..protocol
        }
    }

    /// As the script makes them.
    fn tokens(&self) -> Vec<TokenGrid> {
        let [height, width] = self.grid;
        let count = height * width * self.dim;
        let mut values = numbers(self.seed, count);
        let mut frames = Vec::new();
        for frame in 0..self.frames as u64 {
            if frame > 0 {
                let change = numbers(self.seed + frame, count);
                values.iter_mut().zip(change).for_each(|(it, change)| *it += 0.4 * change);
            }
            let tokens = Vectors::new(self.dim, values.iter().map(|&it| it as f32).collect());
            frames.push(TokenGrid::new(height, width, &tokens));
        }
        frames
    }

    fn mask(&self, runs: &[usize]) -> Mask {
        let runs = runs.chunks(2).flat_map(|it| std::iter::repeat_n(it[0] as u8, it[1]));
        Mask::new(self.size[1], self.size[0], runs.collect())
    }
}

/// A linear congruential generator: numbers in [-0.5, 0.5).
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let next = |it: &u64| {
        Some(it.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    let states = std::iter::successors(Some(seed), next).skip(1);
    states.take(count).map(|it| (it >> 40) as f64 / f64::from(1 << 24) - 0.5).collect()
}

#[test]
fn labels_and_masks_are_those_of_the_programs() {
    let cases: Cases = serde_json::from_str(include_str!("data/propagation.json")).unwrap();
    let mut furthest = 0.0_f32;
    for (index, case) in cases.cases.iter().enumerate() {
        let protocol = case.protocol();
        let first = Labels::from_mask(&case.mask(&case.mask), case.patch, &protocol);
        let labels = propagate(case.tokens(), &first, &protocol);
        assert_eq!(labels.len(), case.labels.len());
        for (frame, (ours, theirs)) in labels.iter().zip(&case.labels).enumerate() {
            assert_eq!(ours.values().len(), theirs.len());
            let apart = ours.values().iter().zip(theirs).map(|(a, b)| (a - b).abs());
            furthest = apart.fold(furthest, f32::max);
            assert!(furthest < 1e-5, "case {index}, frame {frame}: {furthest} apart");

            let [height, width] = case.size;
            let mask = ours.to_mask(case.patch, width, height, &protocol);
            // DINO's program writes the first mask as it was.
            if frame > 0 || case.program != "dino" {
                assert!(mask == case.mask(&case.masks[frame]), "case {index}, mask {frame}");
            }
        }
    }
}

/// Two classes: the object is where `object` says.
fn labels(height: usize, width: usize, object: &[f32]) -> Labels {
    Labels::new(height, width, 2, object.iter().flat_map(|&it| [1.0 - it, it]).collect())
}

fn grid(height: usize, width: usize, dim: usize, values: Vec<f32>) -> TokenGrid {
    TokenGrid::new(height, width, &Vectors::new(dim, values))
}

#[test]
fn temperature_and_top_k_by_hand() {
    // Cells at angles of 0, 60, 90 and 180 degrees, and a target at 0 degrees everywhere.
    let root = 0.75_f32.sqrt();
    let source = grid(2, 2, 2, vec![1.0, 0.0, 0.5, root, 0.0, 1.0, -1.0, 0.0]);
    let target = grid(2, 2, 2, [1.0, 0.0].repeat(4));
    let object = [0.0, 1.0, 0.0, 1.0];
    let e = |cosine: f32| (cosine / 0.5).exp();
    for (top_k, expected) in [
        (1, 0.0),
        (2, e(0.5) / (e(1.0) + e(0.5))),
        (3, e(0.5) / (e(1.0) + e(0.5) + 1.0)),
        (4, (e(0.5) + e(-1.0)) / (e(1.0) + e(0.5) + 1.0 + e(-1.0))),
        (9, (e(0.5) + e(-1.0)) / (e(1.0) + e(0.5) + 1.0 + e(-1.0))),
    ] {
        let protocol = Protocol { top_k, temperature: 0.5, ..Protocol::dino() };
        let frames = [source.clone(), target.clone()];
        let made = propagate(frames, &labels(2, 2, &object), &protocol);
        for cell in made[1].values().chunks(2) {
            assert!((cell[1] - expected).abs() < 1e-6, "{top_k}: {cell:?} for {expected}");
            assert!((cell[0] + cell[1] - 1.0).abs() < 1e-6);
        }
    }
}

#[test]
fn copies_of_the_first_frame_count_among_the_top_k() {
    // The target's cell is most like the second: with two copies in the context, and the frame
    // itself, the three most similar are three times that cell.
    let source = grid(1, 2, 2, vec![1.0, 0.0, 0.8, 0.6]);
    let frames = [source, grid(1, 2, 2, [0.6, 0.8].repeat(2))];
    for (recent_frames, everything_from_second) in [(1, false), (2, true)] {
        let protocol = Protocol { top_k: 3, recent_frames, ..Protocol::crop_mae() };
        let made = propagate(frames.clone(), &labels(1, 2, &[0.0, 1.0]), &protocol);
        assert_eq!(made[1].values()[1] == 1.0, everything_from_second);
    }
}

#[test]
fn labels_follow_an_image_that_is_shifted() {
    // Every cell has its own token, and all of them move by one row and two columns a frame.
    let (height, width, dim) = (9, 14, 24);
    let world: Vec<_> = numbers(7, 40 * 40 * dim).into_iter().map(|it| it as f32).collect();
    let is_object = |y: usize, x: usize| (8..12).contains(&y) && (11..15).contains(&x);
    let place = |frame: usize, y: usize, x: usize| (y + 8 - frame, x + 8 - 2 * frame);
    let tokens = |frame: usize| {
        let cells = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let values = cells.flat_map(|(y, x)| {
            let (row, column) = place(frame, y, x);
            world[(row * 40 + column) * dim..][..dim].iter().copied()
        });
        grid(height, width, dim, values.collect())
    };
    let object = |frame: usize| -> Vec<f32> {
        let cells = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let inside = cells.map(|(y, x)| {
            let (row, column) = place(frame, y, x);
            f32::from(u8::from(is_object(row, column)))
        });
        inside.collect()
    };

    for protocol in [Protocol::dino(), Protocol::crop_mae()] {
        // What enters at the border resembles nothing, and is background only by chance: its cell
        // is not compared, nor may the object come near to it.
        let protocol = Protocol { top_k: 1, ..protocol };
        let made = propagate((0..4).map(tokens), &labels(height, width, &object(0)), &protocol);
        for (frame, labels) in made.iter().enumerate() {
            let expected = object(frame);
            assert_eq!(expected.iter().sum::<f32>(), 16.0, "the whole object is in the picture");
            for (cell, (label, expected)) in labels.values().chunks(2).zip(expected).enumerate() {
                let (y, x) = (cell / width, cell % width);
                if y >= frame && x >= 2 * frame {
                    assert_eq!(label, [1.0 - expected, expected], "frame {frame}, {y} {x}");
                }
            }
        }
    }
}

#[test]
fn the_neighbourhood_keeps_labels_near() {
    // The same tokens, mirrored: the twin of a cell is far away.
    let width = 9;
    let tokens: Vec<f32> = numbers(3, width * 4).into_iter().map(|it| it as f32).collect();
    let mirrored = tokens.chunks(4).rev().flatten().copied().collect();
    let frames = [grid(1, width, 4, tokens), grid(1, width, 4, mirrored)];
    let mut object = vec![0.0; width];
    object[0] = 1.0;
    let last = |neighbourhood| {
        let protocol = Protocol { neighbourhood, top_k: 1, ..Protocol::dino() };
        propagate(frames.clone(), &labels(1, width, &object), &protocol)[1].values()[width * 2 - 1]
    };
    assert_eq!(last(Neighbourhood::Everywhere), 1.0);
    assert_eq!(last(Neighbourhood::Square(8)), 1.0);
    assert_eq!(last(Neighbourhood::Square(7)), 0.0);
    assert_eq!(last(Neighbourhood::Radius(8.5)), 1.0);
    assert_eq!(last(Neighbourhood::Radius(8.0)), 0.0);
}

#[test]
fn void_pixels_become_background() {
    let indices = (0..64 * 64).map(|it| if it < 64 * 32 { Mask::VOID } else { 1 });
    let mask = Mask::new(64, 64, indices.collect());
    for protocol in [Protocol::dino(), Protocol::crop_mae()] {
        let input = InputSize::Exact { width: 64, height: 64 };
        let protocol = Protocol { input, ..protocol };
        let labels = Labels::from_mask(&mask, 16, &protocol);
        assert_eq!((labels.grid(), labels.classes()), ((4, 4), 2));
        let back = labels.to_mask(16, 64, 64, &protocol);
        assert_eq!(back.indices, [vec![0; 64 * 32], vec![1; 64 * 32]].concat());
    }
}

#[test]
fn a_class_that_is_the_same_everywhere_stays_and_of_equal_classes_the_lower_wins() {
    let masks = |cell: [f32; 3]| {
        let labels = Labels::new(2, 2, 3, cell.repeat(4));
        [Protocol::dino(), Protocol::crop_mae()].map(|it| labels.to_mask(4, 8, 8, &it).indices)
    };
    for (cell, expected) in
        [([1.0, 0.0, 0.0], 0), ([0.0, 1.0, 0.0], 1), ([0.0, 0.3, 0.7], 2), ([0.2, 0.4, 0.4], 1)]
    {
        assert_eq!(masks(cell), [[expected; 64], [expected; 64]], "{cell:?}");
    }
}
