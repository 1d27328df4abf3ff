//! Teachers are the moving averages of their students and nothing else, and running statistics
//! move with every batch.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use tempfile::tempdir;

use super::cases::{CASES, Case, STEPS};
use super::harness::{Harness, harness};
use crate::MethodConfig;
use crate::nn::parameters::is_statistic;

type Weights = BTreeMap<String, Vec<f32>>;

/// The weights in a file.
fn weights(path: &Path) -> Weights {
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |bytes: &[u8]| {
        bytes.chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
    };
    tensors.iter().map(|(name, it)| (name.to_owned(), floats(it.data()))).collect()
}

fn is_running(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(is_statistic)
}

/// The student's weight that a teacher's weight follows.
fn followed<'a>(name: &str, student: &'a Weights) -> &'a [f32] {
    let tdv = name.replace("teacher_encoder.", "frame_encoder.").replace("teacher_head.", "head.");
    let bridge = format!("tdv.{tdv}");
    let names = [name.into(), format!("branch.{name}"), format!("encoder.{name}"), tdv, bridge];
    names
        .iter()
        .find_map(|it| student.get(it))
        .unwrap_or_else(|| panic!("the student has no {name}"))
}

/// The momentum after `step` steps, as in the papers.
fn momentum(case: &Case, step: u64) -> Option<f64> {
    let rising = |base: f64| {
        let angle = std::f64::consts::PI * step as f64 / STEPS as f64;
        1.0 - (1.0 - base) * (angle.cos() + 1.0) / 2.0
    };
    let method = case.config().method;
    match &method {
        MethodConfig::Tdv(it) => Some(it.momentum),
        MethodConfig::TdvAdassl(it) => Some(it.tdv.momentum),
        MethodConfig::SeqJepa(it) => Some(rising(it.momentum)),
        MethodConfig::Tico(it) => Some(rising(it.momentum)),
        MethodConfig::Byol(it) => Some(rising(it.momentum)),
        MethodConfig::Adassl(it) if method.has_teacher() => {
            Some(if it.momentum_rises { rising(it.momentum) } else { it.momentum })
        }
        _ => None,
    }
}

#[test]
fn a_teacher_is_the_moving_average_with_the_momentum_of_its_step() {
    for case in CASES {
        let (mut trainer, folder) = (case.trainer(3), tempdir().unwrap());
        let [teacher, student] =
            ["teacher", "student"].map(|it| folder.path().join(it).with_extension("safetensors"));
        trainer.save(folder.path()).unwrap();
        assert_eq!(teacher.exists(), momentum(case, 1).is_some(), "{}", case.name);
        for step in 1..=2 {
            let Some(momentum) = momentum(case, step) else { continue };
            let before = weights(&teacher);
            trainer.step(&case.clips(4, step), false).unwrap();
            trainer.save(folder.path()).unwrap();
            let (after, student) = (weights(&teacher), weights(&student));
            let mut moved = 0.0_f64;
            for (name, after) in after.iter().filter(|it| !is_running(it.0)) {
                let (before, student) = (&before[name], followed(name, &student));
                for ((before, student), after) in before.iter().zip(student).zip(after) {
                    let [before, student, after] =
                        [before, student, after].map(|it| f64::from(*it));
                    let wanted = momentum * before + (1.0 - momentum) * student;
                    let off = (after - wanted).abs();
                    let at = format!("{}, step {step}: {name}", case.name);
                    assert!(off < 3e-7 * wanted.abs().max(1.0), "{at}: {after}, not {wanted}");
                    moved = moved.max((after - before).abs());
                }
            }
            assert!(moved > 1e-4, "{}: the teacher did not move: {moved}", case.name);
        }
    }
}

/// Computing losses and gradients moves no weight of a teacher, only its running statistics.
#[test]
fn gradients_change_only_the_statistics_of_a_teacher() {
    for case in CASES.iter().filter(|it| momentum(it, 1).is_some()) {
        let (mut method, folder) = (harness(case), tempdir().unwrap());
        let saved = |method: &dyn Harness| {
            method.save(folder.path());
            weights(&folder.path().join("teacher.safetensors"))
        };
        // At first a teacher equals its student, and any average of the two is the same.
        method.optimizer_step(&case.clips(4, 0));
        let before = saved(&*method);
        method.gradients(&case.clips(4, 1), 2);
        for (name, after) in saved(&*method) {
            let same = after == before[&name];
            assert_eq!(same, !is_running(&name), "{}: {name}", case.name);
        }
    }
}

#[test]
fn the_running_statistics_of_a_student_follow_its_batches() {
    for case in CASES {
        let (mut trainer, folder) = (case.trainer(3), tempdir().unwrap());
        let path = folder.path().join("student.safetensors");
        trainer.save(folder.path()).unwrap();
        let before = weights(&path);
        trainer.step(&case.clips(4, 1), false).unwrap();
        trainer.save(folder.path()).unwrap();
        for (name, after) in weights(&path).iter().filter(|it| is_running(it.0)) {
            assert_ne!(after, &before[name], "{}: {name} did not change", case.name);
        }
    }
}
