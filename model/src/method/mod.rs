//! Self-supervised methods: a student path, a teacher path and a loss.
//!
//! A method is a file or a folder with its table (`Recipe`) and its step (`Method`), and a line
//! in `registry`. What is the same for all methods is the trainer's: the optimizer, the moving
//! average of the teacher, saving, loading, and which encoder is exported.

pub mod adassl;
pub mod byol;
mod encoder_projector;
mod futures;
pub mod joint_embedding;
mod losses;
mod registry;
pub mod seq_jepa;
pub mod simsiam;
pub mod tdv;
pub mod tdv_adassl;
pub mod tdv_sigreg;
pub mod tico;
mod two_views;

pub use futures::Futures;
pub(crate) use losses::Losses;
pub use registry::MethodConfig;
pub(crate) use registry::with_recipe;
pub use tdv::MotionEncoder;
pub use two_views::Views;

use std::sync::Arc;

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};

use crate::export::state_dict::StateDict;
use crate::train::data_parallel::{StepContext, StepOutput};
use crate::train::state::SavedState;
use crate::{Clips, EncoderShape, FrameEncoder, Init, Input, Pool, Result};

/// The `[model.method]` table of one method.
pub(crate) trait Recipe {
    /// The method that the table configures.
    type Method: Method;

    /// Whether the loss of a clip depends on the other clips of the batch.
    const CLIPS_INTERACT: bool = true;

    /// The tokens of the frame encoder that the loss uses.
    const POOL: Pool = Pool::Cls;

    /// Checks the table for an encoder and an input.
    ///
    /// # Errors
    /// A value that cannot be used, with its key.
    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()>;

    /// Height and width of a view for frames of `image` = `[height, width]`.
    fn view_size(&self, image: [usize; 2]) -> [usize; 2] {
        image
    }

    /// Whether the method has a teacher.
    fn has_teacher(&self) -> bool {
        <Self::Method as Method>::Teacher::EXISTS
    }

    /// The method with fresh networks.
    fn init(&self, context: &InitContext) -> Initialised<Self::Method>;
}

/// A method with fresh networks.
pub(crate) struct Initialised<M: Method> {
    pub(crate) method: M,
    pub(crate) student: M::Student,
    pub(crate) teacher: M::Teacher,
}

/// What networks are made for.
#[derive(Clone, Debug)]
pub(crate) struct InitContext {
    pub(crate) shape: EncoderShape,
    pub(crate) input: Input,
    pub(crate) seed: u64,
    /// The device without gradients.
    pub(crate) device: Device,
    /// The first weights of the frame encoder; random without.
    pub(crate) encoder: Option<Arc<StateDict>>,
}

impl InitContext {
    /// The source of the student's first weights.
    pub(crate) fn init(&self) -> Init {
        let autodiff = self.device.clone().autodiff();
        Init::new(self.seed, &autodiff).with_encoder(self.encoder.clone())
    }
}

/// The networks of a teacher: a moving average of the student's.
pub(crate) trait Teacher: Module + Sync {
    /// Whether there is one; where the table decides, it overrides [`Recipe::has_teacher`].
    const EXISTS: bool = true;

    /// The frame encoder, if there is a teacher.
    fn frame_encoder(&self) -> Option<FrameEncoder>;
}

/// The teacher of a method without one.
#[derive(Module, Debug)]
pub(crate) struct NoTeacher {}

impl Teacher for NoTeacher {
    const EXISTS: bool = false;

    fn frame_encoder(&self) -> Option<FrameEncoder> {
        None
    }
}

impl Teacher for FrameEncoder {
    fn frame_encoder(&self) -> Option<FrameEncoder> {
        Some(self.clone())
    }
}

impl<T: Teacher> Teacher for Option<T> {
    fn frame_encoder(&self) -> Option<FrameEncoder> {
        self.as_ref().and_then(T::frame_encoder)
    }
}

/// What a method adds to the training step, which the trainer does for all methods.
pub(crate) trait Method: Sync {
    /// The networks that the optimizer trains.
    type Student: Module + Sync;
    /// Their moving average; [`NoTeacher`] where there is none.
    type Teacher: Teacher;

    /// The losses of a micro-batch and the gradients of the student, by
    /// [`independent`](crate::train::data_parallel::independent) or, where the loss is over the
    /// whole batch, [`gathered`](crate::train::data_parallel::gathered).
    fn step(
        &mut self,
        student: &Self::Student,
        teacher: &Self::Teacher,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput;

    /// The student's networks that the teacher follows after an optimizer step, and the teacher's
    /// momentum when `progress` (0..=1) of the run is over.
    fn followed(&self, _student: &Self::Student, _progress: f64) -> Option<(Self::Teacher, f64)> {
        None
    }

    /// The student's frame encoder.
    fn frame_encoder(student: &Self::Student) -> FrameEncoder;

    /// The fewest frames of a clip that a step needs.
    fn least_frames(&self) -> usize;

    /// Whether the cost of a step grows with the frames of a clip.
    fn uses_all_frames(&self) -> bool {
        false
    }

    /// Embeddings of each clip other than the frame encoder's, `[n, d]`, by the name of their
    /// column.
    fn vectors(&self, _student: &Self::Student, _clips: &Clips) -> Vec<(&'static str, Tensor<2>)> {
        Vec::new()
    }

    /// Samples of the representation of each clip's future; none where the method predicts none.
    fn futures(
        &self,
        _student: &Self::Student,
        _teacher: &Self::Teacher,
        _clips: &Clips,
        _samples: usize,
    ) -> Option<Futures> {
        None
    }

    /// Metrics that are the ratio of two others.
    fn ratios(&self) -> &'static [Ratio] {
        &[]
    }

    /// Signs in the metrics of a step that training goes wrong. The trainer reports each kind once
    /// per run.
    fn warnings(&self, _values: &[(String, f32)], _progress: f64) -> Vec<Warning> {
        Vec::new()
    }

    /// Parameters with a multiple of the learning rate.
    fn learning_rates(&self, _student: &Self::Student) -> Vec<LearningRate> {
        Vec::new()
    }

    /// The networks by name, with their numbers of parameters.
    fn parameters(&self, student: &Self::Student) -> Vec<(&'static str, usize)>;

    /// Adds what later steps depend on, other than the weights of student and teacher.
    fn save_state(&self, _state: &mut SavedState) {}

    /// Restores what [`Method::save_state`] added, on a device without gradients.
    ///
    /// # Errors
    /// A tensor is missing; the text names it.
    fn load_state(
        &mut self,
        _state: &mut SavedState,
        _device: &Device,
    ) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// The metric `term / over`.
pub(crate) struct Ratio {
    pub(crate) name: &'static str,
    pub(crate) term: &'static str,
    pub(crate) over: &'static str,
}

/// Parameters that learn at a multiple of the learning rate.
pub(crate) struct LearningRate {
    /// The name of their learning rate in the metrics.
    pub(crate) name: &'static str,
    pub(crate) group: ParamGroup,
    pub(crate) multiplier: f64,
}

/// A sign that training goes wrong.
#[derive(Clone, Debug)]
pub struct Warning {
    /// What goes wrong; a run reports each kind once.
    pub kind: &'static str,
    /// What was measured, and what to do.
    pub message: String,
}

#[cfg(test)]
mod tests;
