//! The trainer of one method: what is the same for all of them.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::{Module as _, ParamId, list_param_ids};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};

use super::data_parallel::{self, StepContext};
use super::{Embeddings, NotFinite, Report, TrainConfig, Trainer, ema, gradients};
use crate::method::{Futures, Initialised, LearningRate, Method, Ratio, Teacher as _};
use crate::metrics::report::StepMetrics;
use crate::{
    Clips, Config, Embedder, EncoderChoice, Error, FrameEncoder, Pool, Result, VectorBatch,
};

pub(crate) struct MethodTrainer<M: Method> {
    pub(super) method: M,
    /// Absent only during the optimizer step, which updates in place what has a single owner.
    pub(super) student: Option<M::Student>,
    pub(super) teacher: M::Teacher,
    pub(super) optimizer: ModuleOptimizer,
    learning_rates: Vec<(&'static str, f64)>,
    train: TrainConfig,
    /// Whose embeddings are stored, if the config says so.
    choice: Option<EncoderChoice>,
    pool: Pool,
    /// Parameters that do not change.
    frozen: Vec<ParamId>,
    pub(super) device: Device,
    pub(super) step: u64,
    /// Losses that were not checked yet, the oldest first.
    unchecked: Vec<Tensor<1>>,
    /// Kinds of warnings that were reported.
    pub(super) warned: BTreeSet<String>,
}

impl<M: Method> MethodTrainer<M> {
    pub(crate) fn new(fresh: Initialised<M>, config: &Config, device: &Device) -> Self {
        let Initialised { method, student, teacher } = fresh;
        let groups = method.learning_rates(&student);
        let learning_rates = groups.iter().map(|it| (it.name, it.multiplier)).collect();
        let groups =
            groups.into_iter().map(|LearningRate { group, multiplier, .. }| (group, multiplier));
        Self {
            optimizer: config.train.optimizer(groups.collect()),
            learning_rates,
            train: config.train.clone(),
            choice: config.embed.encoder,
            pool: config.pool(),
            frozen: if config.encoder.frozen {
                list_param_ids(&M::frame_encoder(&student))
            } else {
                Vec::new()
            },
            device: device.clone(),
            method,
            student: Some(student),
            teacher,
            step: 0,
            unchecked: Vec::new(),
            warned: BTreeSet::new(),
        }
    }

    pub(super) fn student(&self) -> &M::Student {
        self.student.as_ref().expect("no optimizer step is running")
    }

    #[cfg(test)]
    pub(crate) fn networks(&self) -> (&M, &M::Student, &M::Teacher) {
        (&self.method, self.student(), &self.teacher)
    }

    fn progress(&self) -> f64 {
        self.step as f64 / self.train.steps.max(1) as f64
    }

    /// The metrics of the batch and its gradients, one micro-batch after the other.
    pub(super) fn gradients(
        &mut self,
        clips: &Clips,
        parts: usize,
        read: bool,
    ) -> (StepMetrics, GradientsParams) {
        let progress = self.progress();
        let student = self.student.as_ref().expect("no optimizer step is running");
        let mut sum = GradientsAccumulator::new();
        let mut metrics = Vec::new();
        for (idx, micro_batch) in clips.chunks(self.train.accumulate).into_iter().enumerate() {
            let context = StepContext {
                autodiff: self.device.clone().autodiff(),
                parts,
                share: micro_batch.len() as f64 / clips.len() as f64,
                micro_batch: (self.step - 1) * self.train.accumulate as u64 + idx as u64,
                step: self.step,
                progress,
                read,
            };
            let output = self.method.step(student, &self.teacher, &micro_batch, &context);
            output.grads.into_iter().for_each(|grads| sum.accumulate(student, grads));
            let parts = output.losses.into_iter();
            metrics.extend(parts.map(|(losses, share)| StepMetrics::of_part(losses, share)));
        }
        let metrics = metrics.into_iter().reduce(StepMetrics::merge).expect("at least one clip");
        (metrics, sum.grads())
    }

    /// Clips the gradients, updates the student, and then the teacher. Gives the joint norm of the
    /// gradients before clipping.
    pub(super) fn optimizer_step(&mut self, mut grads: GradientsParams) -> Tensor<1> {
        gradients::drop_frozen(self.student(), &mut grads, &self.frozen);
        let max_norm = self.train.grad_clip;
        let norm = gradients::clip(self.student(), &mut grads, max_norm, &self.device);
        let learning_rate = self.train.learning_rate_at(self.step);
        let student = self.student.take().expect("no optimizer step is running");
        let student = self.optimizer.step(learning_rate, student, grads);
        if let Some((followed, momentum)) = self.method.followed(&student, self.progress()) {
            self.teacher = ema::update(self.teacher.clone(), &followed, momentum);
        }
        self.student = Some(student);
        norm
    }

    fn read(&mut self, metrics: StepMetrics, grad_norm: Tensor<1>) -> Result<Report> {
        self.check_losses()?;
        let mut values = metrics.values();
        values.push(("grad_norm".into(), grad_norm.into_scalar()));
        for Ratio { name, term, over } in self.method.ratios() {
            let value = |name: &str| values.iter().find(|it| it.0 == name).map(|it| it.1);
            if let (Some(term), Some(over)) = (value(term), value(over)) {
                // In a static scene, copying has no error.
                values.push(((*name).into(), term / over.max(1e-12)));
            }
        }
        let learning_rate = self.train.learning_rate_at(self.step);
        values.push(("learning_rate".into(), learning_rate as f32));
        let others = self.learning_rates.iter();
        values.extend(
            others.map(|(name, multiplier)| ((*name).into(), (learning_rate * multiplier) as f32)),
        );
        let mut warnings = self.method.warnings(&values, self.progress());
        warnings.retain(|it| self.warned.insert(it.kind.to_owned()));
        let per_clip = metrics.per_clip.into_iter();
        let per_clip = per_clip.map(|(name, it)| (name.to_owned(), floats(it))).collect();
        Ok(Report { values, per_clip, warnings })
    }

    fn check_losses(&mut self) -> Result<()> {
        if self.unchecked.is_empty() {
            return Ok(());
        }
        let losses = floats(Tensor::cat(std::mem::take(&mut self.unchecked), 0));
        let first = self.step + 1 - losses.len() as u64;
        match losses.iter().position(|it| !it.is_finite()) {
            Some(idx) => Err(Error::Diverged { step: first + idx as u64, loss: losses[idx] }),
            None => Ok(()),
        }
    }

    /// The frame encoder whose embeddings are stored: the configured one, or else the teacher's
    /// where there is a teacher. It has no gradients.
    fn chosen_encoder(&self) -> (EncoderChoice, FrameEncoder) {
        let teacher = self.teacher.frame_encoder();
        match (self.choice, teacher) {
            (None | Some(EncoderChoice::Teacher), Some(teacher)) => {
                (EncoderChoice::Teacher, teacher)
            }
            _ => (EncoderChoice::Student, M::frame_encoder(self.student()).valid()),
        }
    }
}

fn floats(values: Tensor<1>) -> Vec<f32> {
    values.into_data().try_to_vec().expect("float32 values")
}

impl<M: Method> Trainer for MethodTrainer<M> {
    fn step(&mut self, clips: &Clips, read: bool) -> Result<Option<Report>> {
        self.step += 1;
        let (metrics, grads) = self.gradients(clips, data_parallel::parts(&self.device), read);
        let norm = self.optimizer_step(grads);
        self.unchecked.push(metrics.loss());
        if read { self.read(metrics, norm).map(Some) } else { Ok(None) }
    }

    fn trace(&mut self, clips: &Clips) -> Vec<NotFinite> {
        self.traced_step(clips)
    }

    fn embed(&self, clips: &Clips) -> Embeddings {
        let (choice, encoder) = self.chosen_encoder();
        let embedder = Embedder::new(encoder, self.pool);
        let others = self.method.vectors(self.student(), clips).into_iter();
        Embeddings {
            encoder: choice.name(),
            frames: embedder.pooled(clips),
            others: others.map(|(name, rows)| (name, VectorBatch::of(rows))).collect(),
        }
    }

    fn embedder(&self) -> Embedder {
        Embedder::new(self.chosen_encoder().1, self.pool)
    }

    fn futures(&self, clips: &Clips, samples: usize) -> Option<Futures> {
        self.method.futures(self.student(), &self.teacher, clips, samples)
    }

    fn least_frames(&self) -> usize {
        self.method.least_frames()
    }

    fn uses_all_frames(&self) -> bool {
        self.method.uses_all_frames()
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        self.method.parameters(self.student())
    }

    fn check(&mut self) -> Result<()> {
        self.check_losses()
    }

    fn save(&self, folder: &Path) -> Result<()> {
        self.save_to(folder)
    }

    fn load(&mut self, folder: &Path) -> Result<()> {
        self.load_from(folder)
    }
}
