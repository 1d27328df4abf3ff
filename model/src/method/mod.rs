//! Self-supervised methods. To add one, write its file and list it in [`MethodConfig`].

pub mod adassl;
pub mod byol;
pub mod joint_embedding;
pub(crate) mod registry;
pub mod seq_jepa;
pub mod simsiam;
pub mod tdv;
pub mod tdv_adassl;
pub mod tdv_sigreg;
pub mod tico;
mod two_views;

pub use registry::MethodConfig;
pub use tdv::MotionEncoder;
pub use two_views::Views;

use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};

use crate::export::safetensors;
use crate::export::state_dict::StateDict;
use crate::train::data_parallel::{Done, Work};
use crate::train::state::tensors::Kept;
use crate::{Clips, EncoderChoice, EncoderShape, FrameEncoder, Init, Input, Pool, Result};

/// What a method is made for.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) shape: EncoderShape,
    pub(crate) input: Input,
    pub(crate) seed: u64,
    /// A device that tracks nothing.
    pub(crate) device: Device,
    /// What the frame encoder starts from, where it is not drawn.
    pub(crate) encoder: Option<Arc<StateDict>>,
}

impl Setting {
    /// The first weights of what learns.
    pub(crate) fn init(&self) -> Init {
        let tracked = self.device.clone().autodiff();
        Init::new(self.seed, &tracked).with_encoder(self.encoder.clone())
    }
}

/// What a method adds to the one training step: losses with their gradients, and what follows
/// the optimizer.
pub(crate) trait Method: Sync {
    /// What the optimizer trains.
    type Student: Module + Sync;

    /// Whether there is a moving average of the encoder.
    fn has_teacher(&self) -> bool;

    /// The losses of a micro-batch and the gradients of the student, by [`crate::train::data_parallel::apart`]
    /// or, where clips meet in the loss, [`crate::train::data_parallel::together`].
    fn step(&mut self, student: &Self::Student, clips: &Clips, work: &Work) -> Done;

    /// Runs after every optimizer step, `progress` of the run done; teachers move here.
    fn after_step(&mut self, _student: &Self::Student, _progress: f64) {}

    /// The frame encoder, untracked; the teacher's is asked for only where there is one.
    fn encoder(&self, student: &Self::Student, choice: EncoderChoice) -> FrameEncoder;

    /// Which tokens of the encoder the method's loss looks at.
    fn pool(&self) -> Pool {
        Pool::Cls
    }

    /// The fewest frames of a clip that a step can be made of.
    fn least_frames(&self) -> usize;

    /// Whether more frames of a clip are more work.
    fn uses_all_frames(&self) -> bool {
        false
    }

    /// Vectors of each clip beside the encoder's, `[n, d]`, named as their columns.
    fn vectors(&self, _student: &Self::Student, _clips: &Clips) -> Vec<(&'static str, Tensor<2>)> {
        Vec::new()
    }

    /// Draws of the representation of each clip's future, where the method has any.
    fn futures(
        &self,
        _student: &Self::Student,
        _clips: &Clips,
        _samples: usize,
    ) -> Option<Futures> {
        None
    }

    /// Metrics that are one term as a share of another.
    fn ratios(&self) -> &'static [Ratio] {
        &[]
    }

    /// What a person should hear about the numbers of a step; each kind is said once a run.
    fn warnings(&self, _values: &[(String, f32)], _progress: f64) -> Vec<Warning> {
        Vec::new()
    }

    /// Parameters that learn at a multiple of the learning rate.
    fn learning_rates(&self, _student: &Self::Student) -> Vec<LearningRate> {
        Vec::new()
    }

    /// The networks by name, and how many parameters each has.
    fn parameters(&self, student: &Self::Student) -> Vec<(&'static str, usize)>;

    /// Writes the teacher's weights into `folder`, where there is one.
    fn save_teacher(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    /// Reads what [`Method::save_teacher`] wrote.
    fn load_teacher(&mut self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    /// What later steps depend on beside the weights.
    fn remember(&self, _kept: &mut Kept) {}

    /// Takes back what was remembered, on a device that tracks nothing.
    ///
    /// # Errors
    /// Something of it is missing.
    fn recall(&mut self, _kept: &mut Kept, _device: &Device) -> Recalled {
        Ok(())
    }

    /// Writes all weights into `folder`.
    fn save(&self, student: &Self::Student, folder: &Path) -> Result<()> {
        let best = if self.has_teacher() { EncoderChoice::Teacher } else { EncoderChoice::Student };
        safetensors::save(&self.encoder(student, best), &folder.join("encoder.safetensors"))?;
        safetensors::save(student, &folder.join("student.safetensors"))?;
        self.save_teacher(folder)
    }
}

/// What comes of recalling; the text says what is missing.
pub(crate) type Recalled = std::result::Result<(), String>;

/// `term / over` under a name of its own.
pub(crate) struct Ratio {
    pub(crate) name: &'static str,
    pub(crate) term: &'static str,
    pub(crate) over: &'static str,
}

/// A group of parameters, its name in the metrics, and the multiple that it learns at.
pub(crate) struct LearningRate {
    pub(crate) name: &'static str,
    pub(crate) group: ParamGroup,
    pub(crate) multiplier: f64,
}

/// A sign that training goes wrong.
#[derive(Clone, Debug)]
pub struct Warning {
    /// What goes wrong, for telling warnings apart.
    pub kind: &'static str,
    /// What was seen, and what to do.
    pub message: String,
}

/// Draws of the future's representation, unit vectors all.
#[derive(Clone, Debug)]
pub struct Futures {
    /// Width of a vector, d.
    pub dim: usize,
    /// Draws of each clip, `[n, samples, d]` row by row.
    pub drawn: Vec<f32>,
    /// What the method predicts without chance, `[n, d]`: of a distribution, its mean's.
    pub expected: Vec<f32>,
    /// The representation of what came, `[n, d]`.
    pub came: Vec<f32>,
}

impl Futures {
    /// From every draw and the others, `[n, d]` each.
    pub(crate) fn of(drawn: Vec<Tensor<2>>, expected: Tensor<2>, came: Tensor<2>) -> Self {
        let dim = came.dims()[1];
        let drawn = drawn.into_iter().map(|it| it.unsqueeze_dim::<3>(1)).collect();
        let floats = |x: Tensor<1>| x.into_data().try_to_vec().expect("float32 values");
        Self {
            dim,
            drawn: floats(Tensor::cat(drawn, 1).flatten(0, 2)),
            expected: floats(expected.flatten(0, 1)),
            came: floats(came.flatten(0, 1)),
        }
    }
}

#[cfg(test)]
mod tests;
