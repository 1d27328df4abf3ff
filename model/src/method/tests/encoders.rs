//! A frame encoder is saved under its own names, starts from a file, and does not change when it
//! is frozen.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use tempfile::tempdir;

use super::cases::{CASES, Case};
use crate::export::state_dict::{Array, StateDict};
use crate::{Arch, Config, Embedder, EncoderShape, Layout, Trainer, export};

type Weights = BTreeMap<String, Array>;

fn saved(trainer: &dyn Trainer, file: &str) -> Weights {
    let folder = tempdir().unwrap();
    trainer.save(folder.path()).unwrap();
    StateDict::read(&folder.path().join(file)).unwrap().0
}

/// The encoder of a file, as an export of it has it.
fn exported(case: &Case, from: &Path) -> Weights {
    let shape = case.config().shape(case.input()).unwrap();
    let to = from.with_extension("exported");
    export(&shape, Layout::Timm, from, &to).unwrap_or_else(|err| panic!("{}: {err}", case.name));
    StateDict::read(&to).unwrap().0
}

fn is_exported(case: &Case) -> bool {
    !matches!(case.config().shape(case.input()).unwrap(), EncoderShape::Conv3d(_))
}

/// Before the first step a teacher is the student's copy, so that both files have one encoder.
#[test]
fn a_students_encoder_is_found_among_its_networks() {
    for case in CASES.iter().filter(|it| is_exported(it)) {
        let (trainer, folder) = (case.trainer(0), tempdir().unwrap());
        trainer.save(folder.path()).unwrap();
        let [student, encoder] = ["student.safetensors", "encoder.safetensors"]
            .map(|it| exported(case, &folder.path().join(it)));
        assert!(student == encoder, "{}", case.name);
    }
}

/// What an evaluation calls untrained is what the run of that seed began with.
#[test]
fn an_untrained_embedder_is_the_encoder_of_a_run_before_its_first_step() {
    for case in CASES {
        let trainer = case.trainer(4);
        let device = Device::flex();
        let untrained = Embedder::untrained(&case.config(), case.input(), 4, &device).unwrap();
        let clips = case.clips(3, 0);
        let [began, untrained] =
            [trainer.embed(&clips).frames.values, untrained.pooled(&clips).values];
        assert!(began == untrained, "{}", case.name);
    }
}

/// The configuration whose encoder starts from one of another seed, and that one's weights.
fn from_another(case: &Case, folder: &Path) -> (Config, Weights) {
    case.trainer(9).save(folder).unwrap();
    let path = folder.join("encoder.safetensors");
    let weights = StateDict::read(&path).unwrap().0;
    let mut config = case.config();
    config.encoder.weights = Some(path);
    (config, weights)
}

/// A student's weights of the encoder, and all others.
fn partition(case: &Case, trainer: &dyn Trainer) -> (Weights, Weights) {
    let student = StateDict(saved(trainer, "student.safetensors"));
    let wanted = StateDict(saved(&*case.trainer(0), "encoder.safetensors"));
    let place = student.encoder_prefix(&wanted);
    assert_ne!(place, "", "{}: a student is more than its encoder", case.name);
    let others = student.0.clone().into_iter().filter(|it| !it.0.starts_with(place));
    (student.encoder(&wanted).0, others.collect())
}

#[test]
fn an_encoder_and_its_teacher_start_from_a_file_and_learn() {
    for case in CASES {
        let folder = tempdir().unwrap();
        let (config, weights) = from_another(case, folder.path());
        let mut trainer = case.trainer_of(&config, 0);
        // The networks after the encoder are drawn as without a file.
        let [given, drawn] = [&*trainer, &*case.trainer(0)].map(|it| partition(case, it));
        assert!(given.0 == weights && drawn.0 != weights, "{}", case.name);
        assert!(given.1 == drawn.1, "{}", case.name);
        // A teacher's batch norms begin with statistics of their own.
        if config.encoder.arch == Arch::Vit {
            assert!(saved(&*trainer, "encoder.safetensors") == weights, "{}", case.name);
        }
        // Two steps, because layers before a scale of zero have no gradient at first.
        for step in 0..2 {
            trainer.step(&case.clips(4, step), false).unwrap();
        }
        let after = partition(case, &*trainer).0;
        for (name, after) in &after {
            assert!(*after != weights[name], "{}: {name} did not change", case.name);
        }
    }
}

#[test]
fn a_frozen_encoder_does_not_change_by_a_bit_and_all_else_learns() {
    for case in CASES {
        let folder = tempdir().unwrap();
        let (mut config, weights) = from_another(case, folder.path());
        config.encoder.frozen = true;
        config.train.weight_decay = 0.5;
        if config.encoder.arch != Arch::Vit {
            let message = config.validate(case.input(), &crate::device::cpu()).unwrap_err();
            assert!(message.to_string().starts_with("model.encoder.frozen"), "{message}");
            continue;
        }
        let mut trainer = case.trainer_of(&config, 0);
        let before = partition(case, &*trainer).1;
        for step in 0..3 {
            trainer.step(&case.clips(4, step), false).unwrap();
        }
        let (encoder, after) = partition(case, &*trainer);
        assert!(encoder == weights, "{}: the encoder moved", case.name);
        assert!(!before.is_empty() && before.len() == after.len(), "{}", case.name);
        for (name, before) in before {
            assert!(after[&name] != before, "{}: {name} did not change", case.name);
        }
        let teacher = saved(&*trainer, "encoder.safetensors");
        assert!(teacher == weights, "{}: the teacher moved", case.name);
    }
}
