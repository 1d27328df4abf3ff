//! The state of a trainer as files: everything that later steps depend on.
//!
//! ```text
//! encoder.safetensors      the exported frame encoder
//! student.safetensors      the student
//! teacher.safetensors      the teacher, if there is one
//! optimizer.safetensors    the optimizer's moments
//! method.safetensors       the method's other state; the step and the reported warnings as text
//! ```

mod saved;

pub(crate) use saved::{SavedState, in_file};

use std::path::Path;

use burn::module::Module as _;
use burn::optim::AdamWConfig;
use serde::{Deserialize, Serialize};

use super::MethodTrainer;
use crate::Result;
use crate::export::safetensors;
use crate::method::{Method, Teacher as _};
use crate::train::optimizer;

const ENCODER: &str = "encoder.safetensors";
const STUDENT: &str = "student.safetensors";
const TEACHER: &str = "teacher.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const METHOD: &str = "method.safetensors";

/// The state of a trainer apart from tensors.
#[derive(Debug, Deserialize, Serialize)]
struct TrainerState {
    step: u64,
    warned: Vec<String>,
}

/// Writes the weights of both networks, and the frame encoder by itself: the teacher's where there
/// is a teacher.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn save_networks<M: Method>(
    student: &M::Student,
    teacher: &M::Teacher,
    folder: &Path,
) -> Result<()> {
    let exported = teacher.frame_encoder();
    if exported.is_some() {
        safetensors::save(teacher, &folder.join(TEACHER))?;
    }
    let exported = exported.unwrap_or_else(|| M::frame_encoder(student).valid());
    safetensors::save(&exported, &folder.join(ENCODER))?;
    safetensors::save(student, &folder.join(STUDENT))
}

impl<M: Method> MethodTrainer<M> {
    pub(super) fn save_to(&self, folder: &Path) -> Result<()> {
        save_networks::<M>(self.student(), &self.teacher, folder)?;
        optimizer::state::save(&self.optimizer, self.student(), &folder.join(OPTIMIZER))?;
        let warned = self.warned.iter().cloned().collect();
        let text = serde_json::to_string(&TrainerState { step: self.step, warned });
        let mut state = SavedState::new(text.expect("numbers and text"));
        self.method.save_state(&mut state);
        state.write(&folder.join(METHOD))
    }

    pub(super) fn load_from(&mut self, folder: &Path) -> Result<()> {
        let student = self.student.take().expect("no optimizer step is running");
        let student = safetensors::load(student, &folder.join(STUDENT))?;
        let optimizer = std::mem::replace(&mut self.optimizer, AdamWConfig::new().init());
        let path = folder.join(OPTIMIZER);
        self.optimizer = optimizer::state::load(optimizer, &student, &path)?;
        self.student = Some(student);
        if self.teacher.frame_encoder().is_some() {
            self.teacher = safetensors::load(self.teacher.clone(), &folder.join(TEACHER))?;
        }
        let path = folder.join(METHOD);
        let mut state = SavedState::read(&path)?;
        let text = serde_json::from_str(&state.text);
        let TrainerState { step, warned } =
            in_file(&path, text.map_err(|err| format!("its text: {err}")))?;
        (self.step, self.warned) = (step, warned.into_iter().collect());
        in_file(&path, self.method.load_state(&mut state, &self.device))
    }
}
