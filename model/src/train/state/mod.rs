//! All that later steps depend on, as files.

pub(crate) mod tensors;

use std::path::Path;

use burn::optim::AdamWConfig;
use serde::{Deserialize, Serialize};

use self::tensors::{Kept, within};
use super::MethodTrainer;
use crate::Result;
use crate::export::safetensors;
use crate::method::Method;
use crate::train::optimizer;

/// The file of the optimizer's moments.
const OPTIMIZER: &str = "optimizer.safetensors";
/// The file of what the method remembers beside its networks.
const METHOD: &str = "method.safetensors";

/// What of a trainer is no tensor.
#[derive(Debug, Deserialize, Serialize)]
struct Note {
    step: u64,
    warned: Vec<String>,
}

impl Note {
    fn of(kept: &Kept) -> std::result::Result<Self, String> {
        serde_json::from_str(&kept.note).map_err(|err| format!("its note: {err}"))
    }
}

impl<M: Method> MethodTrainer<M> {
    pub(super) fn write_to(&self, folder: &Path) -> Result<()> {
        self.method.save(self.student(), folder)?;
        let path = folder.join(OPTIMIZER);
        optimizer::state::save(&self.optimizer, self.student(), &path)?;
        self.remembered().write(&folder.join(METHOD))
    }

    pub(super) fn read_from(&mut self, folder: &Path) -> Result<()> {
        let student = self.student.take().expect("no step is under way");
        let student = safetensors::load(student, &folder.join("student.safetensors"))?;
        let optimizer = std::mem::replace(&mut self.optimizer, AdamWConfig::new().init());
        let path = folder.join(OPTIMIZER);
        self.optimizer = optimizer::state::load(optimizer, &student, &path)?;
        self.student = Some(student);
        self.method.load_teacher(folder)?;
        let path = folder.join(METHOD);
        let mut kept = Kept::read(&path)?;
        let Note { step, warned } = within(&path, Note::of(&kept))?;
        (self.step, self.warned) = (step, warned.into_iter().collect());
        within(&path, self.method.recall(&mut kept, &self.device))
    }

    /// What of the trainer is no network, and what the method remembers.
    fn remembered(&self) -> Kept {
        let warned = self.warned.iter().cloned().collect();
        let note = serde_json::to_string(&Note { step: self.step, warned });
        let mut kept = Kept::noted(note.expect("numbers and text"));
        self.method.remember(&mut kept);
        kept
    }
}
