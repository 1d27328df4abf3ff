//! Runs repeat, and what they report is finite and complete.

use std::collections::HashSet;

use burn::tensor::{Device, Tensor};

use super::cases::{CASES, Case};
use crate::train::random::{Draws, Stage};
use crate::{Clips, Report, Trainer};

fn step(trainer: &mut dyn Trainer, clips: &Clips, what: &str) -> Report {
    let report = trainer.step(clips, true).unwrap_or_else(|err| panic!("{what}: {err}"));
    report.expect("was asked for")
}

/// Names of the values, in their order.
fn names(report: &Report) -> Vec<&str> {
    report.values.iter().map(|it| it.0.as_str()).collect()
}

fn value(report: &Report, name: &str) -> Option<f32> {
    report.values.iter().find(|it| it.0 == name).map(|it| it.1)
}

/// Requires the loss first, no name twice, finite numbers, and a number for each of `n` clips.
fn assert_sound(report: &Report, n: usize, what: &str) {
    assert_eq!(report.values[0].0, "loss", "{what}");
    let distinct: HashSet<_> = names(report).into_iter().collect();
    assert_eq!(distinct.len(), report.values.len(), "{what}: a name twice");
    for (name, it) in &report.values {
        assert!(it.is_finite(), "{what}: {name} is {it}");
    }
    assert!(!report.per_clip.is_empty(), "{what}: no metric per clip");
    for (name, all) in &report.per_clip {
        assert_eq!(all.len(), n, "{what}: {name}");
        assert!(all.iter().all(|it| it.is_finite()), "{what}: {name} is {all:?}");
    }
}

#[test]
fn a_run_repeats_bit_for_bit_with_the_same_seed_only() {
    for case in CASES {
        let clips: Vec<_> = (0..3).map(|it| case.clips(4, it)).collect();
        let run = |seed| {
            let mut trainer = case.trainer(seed);
            let reports = clips.iter().map(|it| step(&mut *trainer, it, case.name));
            reports.map(|it| it.values).collect::<Vec<_>>()
        };
        let first = run(0);
        assert_eq!(first, run(0), "{}", case.name);
        for (idx, (one, other)) in first.iter().zip(run(1)).enumerate() {
            assert_ne!(one[0], other[0], "{}: the losses of step {}", case.name, idx + 1);
        }
    }
}

/// Unit vectors of both criteria differ by their norms alone (Garrido et al., 2023).
fn assert_dual(report: &Report, what: &str) {
    let criteria = ["sample_contrastive", "dimension_contrastive", "duality_gap"];
    let [sample, dimension, gap] = criteria.map(|name| value(report, name).expect("projections"));
    let off = (sample + gap - dimension).abs();
    assert!(off <= 1e-5 * sample.abs().max(dimension), "{what}: {sample} + {gap} is {dimension}");
}

#[test]
fn reports_are_complete_at_the_first_step_and_later() {
    for case in CASES {
        let mut trainer = case.trainer(0);
        let first = step(&mut *trainer, &case.clips(5, 0), case.name);
        assert!(trainer.step(&case.clips(5, 1), false).unwrap().is_none(), "{}", case.name);
        let third = step(&mut *trainer, &case.clips(5, 2), case.name);
        for report in [&first, &third] {
            assert_sound(report, 5, case.name);
            assert_dual(report, case.name);
            for name in ["grad_norm", "learning_rate"] {
                assert!(value(report, name).unwrap() > 0.0, "{}: {name}", case.name);
            }
        }
        let later: HashSet<_> = names(&third).into_iter().collect();
        for name in names(&first) {
            assert!(later.contains(name), "{}: {name} is gone", case.name);
        }
    }
}

#[test]
fn a_batch_can_be_split_into_micro_batches() {
    for case in CASES {
        let mut config = case.config();
        let whole = step(&mut *case.trainer(0), &case.clips(5, 0), case.name);
        config.train.accumulate = 2;
        let mut trainer = case.trainer_of(&config, 0);
        for seed in 0..2 {
            let report = step(&mut *trainer, &case.clips(5, seed), case.name);
            assert_sound(&report, 5, case.name);
            assert_dual(&report, case.name);
            if seed == 0 {
                assert_eq!(names(&report), names(&whole), "{}", case.name);
            }
        }
    }
}

/// Extreme clips, most of which a camera could send.
fn extremes(case: &Case) -> Vec<(&'static str, Clips)> {
    let usual = |n| case.clips(n, 7);
    let all = |clips: &Clips| clips.all();
    let (two, four) = (all(&usual(2)), all(&usual(4)));
    let one = four.clone().narrow(0, 0, 1);
    let still = four.clone().narrow(1, 0, 1).repeat_dim(1, case.frames);
    let black = Clips::upload(
        vec![0; four.dims().iter().product()],
        [4, case.frames, 16, 16, 3],
        &Device::flex(),
    );
    let clips = [
        ("two clips", two.clone()),
        ("equal clips", one.repeat_dim(0, 4)),
        ("every clip twice", Tensor::cat(vec![two.clone(), two], 0)),
        ("static clips", still),
        ("black frames", all(&black)),
        ("frames of 1e3", four.ones_like() * 1e3),
        ("noise of 1e3", four * 1e3),
    ];
    let mut draws = Draws::at(7, 1, Stage::Augment, &Device::flex());
    clips.map(|(name, it)| (name, case.with_metadata(Clips::normalised(it), &mut draws))).into()
}

/// The norm of the gradients is among the values: where it is finite, all of them are.
#[test]
fn extreme_clips_give_finite_losses_gradients_and_values() {
    for case in CASES {
        for (name, clips) in extremes(case) {
            let what = format!("{}, {name}", case.name);
            let mut trainer = case.trainer(0);
            for _ in 0..2 {
                assert_sound(&step(&mut *trainer, &clips, &what), clips.len(), &what);
            }
        }
    }
}
