//! A trainer that was saved and loaded continues bit for bit like one that was not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use tempfile::tempdir;

use super::cases::{CASES, Case, STEPS, case};
use crate::{Report, Trainer};

/// Every number of a report, as bits.
fn bits(report: &Report) -> Vec<(String, Vec<u32>)> {
    let values = report.values.iter().map(|(name, it)| (name.clone(), vec![it.to_bits()]));
    let per_clip = report
        .per_clip
        .iter()
        .map(|(name, it)| (name.clone(), it.iter().map(|it| it.to_bits()).collect()));
    values.chain(per_clip).collect()
}

fn step(trainer: &mut dyn Trainer, case: &Case, step: u64) -> Vec<(String, Vec<u32>)> {
    bits(&trainer.step(&case.clips(4, step), true).unwrap().unwrap())
}

/// Every tensor of every file that a trainer saves, as bytes by name.
fn tensors(trainer: &dyn Trainer) -> BTreeMap<String, Vec<u8>> {
    let folder = tempdir().unwrap();
    trainer.save(folder.path()).unwrap();
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let file = entry.file_name().into_string().unwrap();
            all.insert(format!("{file}: {name}"), tensor.data().to_vec());
        }
    }
    all
}

/// A trainer with other weights that loads the files.
fn resumed(case: &Case, folder: &Path) -> Box<dyn Trainer> {
    let mut trainer = case.trainer(0);
    step(trainer.as_mut(), case, 77);
    trainer.load(folder).unwrap();
    trainer
}

#[test]
fn every_method_resumes_bit_for_bit() {
    for case in CASES {
        let (mut whole, folder) = (case.trainer(0), tempdir().unwrap());
        for number in 1..=2 {
            step(whole.as_mut(), case, number);
        }
        whole.save(folder.path()).unwrap();
        let mut resumed = resumed(case, folder.path());
        for number in 3..=STEPS.min(5) {
            let wanted = step(whole.as_mut(), case, number);
            assert_eq!(step(resumed.as_mut(), case, number), wanted, "{} at {number}", case.name);
        }
        let (after, wanted) = (tensors(resumed.as_ref()), tensors(whole.as_ref()));
        assert!(after.keys().eq(wanted.keys()), "{}", case.name);
        for (name, bytes) in &after {
            assert!(*bytes == wanted[name], "{}: {name} differs", case.name);
        }
    }
}

#[test]
fn a_file_of_another_network_is_refused_by_name() {
    let folder = tempdir().unwrap();
    case("simclr").trainer(0).save(folder.path()).unwrap();
    let message = case("byol").trainer(0).load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("student.safetensors"), "{message}");
}

#[test]
fn a_missing_file_is_named() {
    for name in ["student", "teacher", "optimizer", "method"] {
        let folder = tempdir().unwrap();
        let case = case("tdv");
        let mut trainer = case.trainer(0);
        step(trainer.as_mut(), &case, 1);
        trainer.save(folder.path()).unwrap();
        fs::remove_file(folder.path().join(format!("{name}.safetensors"))).unwrap();
        let message = case.trainer(0).load(folder.path()).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
}
