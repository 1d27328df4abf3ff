//! One training step, the same for every method. The caller owns the loop.

pub(crate) mod data_parallel;
pub(crate) mod ema;
pub(crate) mod gradients;
pub(crate) mod nan_trace;
pub(crate) mod optimizer;
pub(crate) mod random;
pub(crate) mod state;

pub use nan_trace::NotFinite;
pub use optimizer::TrainConfig;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use burn::module::{ParamId, list_param_ids};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};

use self::data_parallel::Work;
use crate::export::import;
use crate::method::registry::each;
use crate::method::{Futures, LearningRate, Method, MethodConfig, Ratio, Setting, Warning};
use crate::metrics::report::Seen;
use crate::nn::batch_norm::NormMode;
use crate::{Clips, Config, EmbedConfig, EncoderChoice, Error, Input, Pool, Result, VectorBatch};

/// A method together with its optimizer, whichever method it is.
pub trait Trainer {
    /// One optimizer step. Reading the loss waits for the device, so only `read` does it.
    ///
    /// # Errors
    /// With `read`, any loss since the last read was not finite.
    fn step(&mut self, clips: &Clips, read: bool) -> Result<Option<Report>>;

    /// One optimizer step that looks at all its numbers in the order in which they arise: the
    /// weights and the clips, the first layer's output, the losses, the gradients, and the weights
    /// after it. Gives those that are not finite, up to the first kind that has any.
    fn trace(&mut self, clips: &Clips) -> Vec<NotFinite>;

    /// Embeddings of the first frame of every clip, and other vectors that the method has of a
    /// clip. The first is the frame encoder's.
    fn embed(&self, clips: &Clips) -> Embeddings;

    /// Draws of what each clip's future looks like; none where the method predicts none.
    fn futures(&self, clips: &Clips, samples: usize) -> Option<Futures>;

    /// The fewest frames of a clip that a step can be made of.
    fn least_frames(&self) -> usize;

    /// Whether more frames of a clip are more work: a method over all its neighbours.
    fn uses_all_frames(&self) -> bool;

    /// The networks by name, and how many parameters each has.
    fn parameters(&self) -> Vec<(&'static str, usize)>;

    /// Looks at all losses that nobody has looked at yet, which waits for the device.
    ///
    /// # Errors
    /// One of them is not finite.
    fn check(&mut self) -> Result<()>;

    /// Writes all that later steps depend on into `folder`, which exists. Of the weights among
    /// it, `encoder.safetensors` is the frame encoder with DINOv2's or torchvision's names, the
    /// teacher's where there is one.
    ///
    /// # Errors
    /// A file cannot be written.
    fn save(&self, folder: &Path) -> Result<()>;

    /// Reads what a trainer of the same config saved, and goes on as that one would have.
    ///
    /// # Errors
    /// A file cannot be read, or is of another config. The trainer is then of no use.
    fn load(&mut self, folder: &Path) -> Result<()>;
}

/// What a step showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Named numbers of the step; `loss` is the first.
    pub values: Vec<(String, f32)>,
    /// Named numbers a clip of the batch.
    pub per_clip: Vec<(String, Vec<f32>)>,
    /// What a person should hear, the first time that it is seen.
    pub warnings: Vec<Warning>,
}

/// Vectors of each clip.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// Name of the frame encoder that made the first.
    pub encoder: &'static str,
    /// The frame encoder's vectors.
    pub frames: VectorBatch,
    /// Others by name.
    pub others: Vec<(&'static str, VectorBatch)>,
}

/// A fresh trainer for the configured method, for clips as `input` says.
///
/// # Errors
/// The configuration cannot be used; see [`Config::validate`].
pub fn trainer(
    config: &Config,
    input: Input,
    seed: u64,
    device: &Device,
) -> Result<Box<dyn Trainer>> {
    config.validate(input, device)?;
    let shape = config.shape(input)?;
    let encoder = import::weights(&config.encoder, &shape)?.map(Arc::new);
    let setting = Setting { shape, input, seed, device: device.clone(), encoder };
    Ok(each!(&config.method, it => build(it.init(&setting), config, device)))
}

fn build<M: Method + 'static>(
    (method, student): (M, M::Student),
    config: &Config,
    device: &Device,
) -> Box<dyn Trainer> {
    Box::new(MethodTrainer::new(method, student, config, device))
}

pub(crate) struct MethodTrainer<M: Method> {
    method: M,
    /// Absent only while the optimizer holds it: it updates in place what nobody else holds.
    student: Option<M::Student>,
    optimizer: ModuleOptimizer,
    learning_rates: Vec<(&'static str, f64)>,
    train: TrainConfig,
    embed: EmbedConfig,
    /// Parameters that stay as they are.
    frozen: Vec<ParamId>,
    device: Device,
    step: u64,
    /// Losses that nobody has looked at yet, the oldest first.
    unread: Vec<Tensor<1>>,
    /// Kinds of warnings that were given.
    warned: BTreeSet<String>,
}

impl<M: Method> MethodTrainer<M> {
    pub(crate) fn new(method: M, student: M::Student, config: &Config, device: &Device) -> Self {
        let groups = method.learning_rates(&student);
        let learning_rates = groups.iter().map(|it| (it.name, it.multiplier)).collect();
        let groups =
            groups.into_iter().map(|LearningRate { group, multiplier, .. }| (group, multiplier));
        Self {
            optimizer: config.train.optimizer(groups.collect()),
            learning_rates,
            train: config.train.clone(),
            embed: config.embed,
            frozen: if config.encoder.frozen {
                list_param_ids(&method.encoder(&student, EncoderChoice::Student))
            } else {
                Vec::new()
            },
            device: device.clone(),
            method,
            student: Some(student),
            step: 0,
            unread: Vec::new(),
            warned: BTreeSet::new(),
        }
    }

    fn student(&self) -> &M::Student {
        self.student.as_ref().expect("no step is under way")
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&M, &M::Student) {
        (&self.method, self.student())
    }

    fn progress(&self) -> f64 {
        self.step as f64 / self.train.steps.max(1) as f64
    }

    /// The loss of the batch and its gradients, one micro-batch after the other.
    fn gradients(&mut self, clips: &Clips, parts: usize, read: bool) -> (Seen, GradientsParams) {
        let progress = self.progress();
        let student = self.student.as_ref().expect("no step is under way");
        let mut sum = GradientsAccumulator::new();
        let mut seen = Vec::new();
        for (idx, micro_batch) in clips.chunks(self.train.accumulate).into_iter().enumerate() {
            let work = Work {
                tracked: self.device.clone().autodiff(),
                parts,
                share: micro_batch.len() as f64 / clips.len() as f64,
                number: (self.step - 1) * self.train.accumulate as u64 + idx as u64,
                step: self.step,
                progress,
                read,
            };
            let done = self.method.step(student, &micro_batch, &work);
            done.grads.into_iter().for_each(|grads| sum.accumulate(student, grads));
            seen.extend(done.losses.into_iter().map(|(losses, share)| Seen::of(losses, share)));
        }
        let seen = seen.into_iter().reduce(Seen::and).expect("at least one clip");
        (seen, sum.grads())
    }

    /// Takes a step along the gradients, and gives their joint norm.
    fn learn(&mut self, mut grads: GradientsParams) -> Tensor<1> {
        gradients::forget(self.student(), &mut grads, &self.frozen);
        let max_norm = self.train.grad_clip;
        let norm = gradients::clip(self.student(), &mut grads, max_norm, &self.device);
        let rate = self.train.learning_rate_at(self.step);
        let student = self.student.take().expect("no step is under way");
        let student = self.optimizer.step(rate, student, grads);
        self.method.after_step(&student, self.progress());
        self.student = Some(student);
        norm
    }

    fn read(&mut self, seen: Seen, grad_norm: Tensor<1>) -> Result<Report> {
        self.check_losses()?;
        let mut values = seen.values();
        values.push(("grad_norm".into(), grad_norm.into_scalar()));
        for Ratio { name, term, over } in self.method.ratios() {
            let value = |name: &str| values.iter().find(|it| it.0 == name).map(|it| it.1);
            if let (Some(term), Some(over)) = (value(term), value(over)) {
                // Of a scene that stands still, copying is free of error.
                values.push(((*name).into(), term / over.max(1e-12)));
            }
        }
        let rate = self.train.learning_rate_at(self.step);
        values.push(("learning_rate".into(), rate as f32));
        let others = self.learning_rates.iter();
        values.extend(others.map(|(name, times)| ((*name).into(), (rate * times) as f32)));
        let mut warnings = self.method.warnings(&values, self.progress());
        warnings.retain(|it| self.warned.insert(it.kind.to_owned()));
        let per_clip = seen.per_clip.into_iter();
        let per_clip = per_clip.map(|(name, it)| (name.to_owned(), floats(it))).collect();
        Ok(Report { values, per_clip, warnings })
    }

    fn check_losses(&mut self) -> Result<()> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let unread = floats(Tensor::cat(std::mem::take(&mut self.unread), 0));
        let first = self.step + 1 - unread.len() as u64;
        match unread.iter().position(|it| !it.is_finite()) {
            Some(idx) => Err(Error::Diverged { step: first + idx as u64, loss: unread[idx] }),
            None => Ok(()),
        }
    }

    fn choice(&self) -> EncoderChoice {
        let best =
            if self.method.has_teacher() { EncoderChoice::Teacher } else { EncoderChoice::Student };
        self.embed.encoder.unwrap_or(best)
    }
}

fn floats(values: Tensor<1>) -> Vec<f32> {
    values.into_data().try_to_vec().expect("float32 values")
}

impl<M: Method> Trainer for MethodTrainer<M> {
    fn step(&mut self, clips: &Clips, read: bool) -> Result<Option<Report>> {
        self.step += 1;
        let (seen, grads) = self.gradients(clips, data_parallel::parts(&self.device), read);
        let norm = self.learn(grads);
        self.unread.push(seen.loss());
        if read { self.read(seen, norm).map(Some) } else { Ok(None) }
    }

    fn trace(&mut self, clips: &Clips) -> Vec<NotFinite> {
        self.look_for_the_first(clips)
    }

    fn embed(&self, clips: &Clips) -> Embeddings {
        let choice = self.choice();
        let encoder = self.method.encoder(self.student(), choice);
        let tokens = encoder.forward(clips.window(0, encoder.window()), NormMode::Evaluate);
        let [n, count, dim] = tokens.dims();
        let rows: Tensor<2> = match self.embed.pool.unwrap_or_else(|| self.method.pool()) {
            Pool::Cls => tokens.narrow(1, 0, 1).reshape([n, dim]),
            Pool::Mean => tokens.narrow(1, 1, count - 1).mean_dim(1).reshape([n, dim]),
        };
        let others = self.method.vectors(self.student(), clips).into_iter();
        Embeddings {
            encoder: choice.name(),
            frames: VectorBatch::of(rows),
            others: others.map(|(name, rows)| (name, VectorBatch::of(rows))).collect(),
        }
    }

    fn futures(&self, clips: &Clips, samples: usize) -> Option<Futures> {
        self.method.futures(self.student(), clips, samples)
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
        self.write_to(folder)
    }

    fn load(&mut self, folder: &Path) -> Result<()> {
        self.read_from(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::tdv;
    use crate::{DinoHeadConfig, EncoderConfig, MethodConfig, Precision};

    fn config(precision: Precision) -> Config {
        let encoder = EncoderConfig {
            patch: 4,
            dim: Some(16),
            depth: Some(1),
            heads: Some(2),
            ..Default::default()
        };
        let head = DinoHeadConfig { hidden: 16, bottleneck: 8, prototypes: 12, chunk: 100 };
        Config {
            encoder,
            method: MethodConfig::Tdv(tdv::Config { head, ..Default::default() }),
            train: TrainConfig { steps: 10, warmup: Some(0), ..Default::default() },
            embed: EmbedConfig::default(),
            precision,
        }
    }

    fn clips(n: usize, device: &Device) -> Clips {
        let shape = [n, 3, 8, 8, 3];
        let pixels = (0..shape.iter().product::<usize>()).map(|it| (it * it % 253) as u8);
        Clips::upload(pixels.collect(), shape, device)
    }

    fn losses(config: &Config, n: usize, steps: usize) -> Vec<f32> {
        let device = Device::flex();
        let mut trainer = trainer(config, Input::frames([8, 8], 3), 0, &device).unwrap();
        let clips = clips(n, &device);
        (0..steps).map(|_| trainer.step(&clips, true).unwrap().unwrap().values[0].1).collect()
    }

    #[test]
    fn the_loss_falls_on_one_batch_and_repeats_bit_for_bit() {
        let mut config = config(Precision::Float32);
        config.train.learning_rate = 1e-2;
        let first = losses(&config, 4, 8);
        assert!(first[7] < first[0] - 0.1, "{first:?}");
        assert_eq!(first, losses(&config, 4, 8));
    }

    #[test]
    fn bfloat16_trains_like_float32() {
        let pairs = [Precision::Float32, Precision::Bfloat16].map(|it| losses(&config(it), 4, 3));
        for (full, half) in pairs[0].iter().zip(&pairs[1]) {
            assert!((full - half).abs() / full < 0.02, "{full} and {half}");
        }
    }

    #[test]
    fn a_report_has_a_number_a_clip_whatever_the_parts() {
        for (n, accumulate) in [(1, 1), (5, 1), (5, 2), (3, 8)] {
            let mut config = config(Precision::Float32);
            config.train.accumulate = accumulate;
            let device = Device::flex();
            let mut trainer = trainer(&config, Input::frames([8, 8], 3), 0, &device).unwrap();
            let clips = clips(n, &device);
            let report = trainer.step(&clips, true).unwrap().unwrap();
            let value = |name: &str| report.values.iter().find(|it| it.0 == name).unwrap().1;
            let (name, errors) = &report.per_clip[0];
            let mean = errors.iter().sum::<f32>() / errors.len() as f32;
            assert_eq!((name.as_str(), errors.len()), ("mse", n));
            assert!((mean - value("mse")).abs() < 1e-5, "{mean} is not the mean {}", value("mse"));
            let ratio = value("mse") / value("copy_mse");
            assert!((value("copy_ratio") - ratio).abs() < 1e-6);
        }
    }

    #[test]
    fn the_first_loss_that_is_not_finite_is_named() {
        let mut config = config(Precision::Float32);
        config.train.learning_rate = 1e38;
        config.train.grad_clip = 1e30;
        let device = Device::flex();
        let mut trainer = trainer(&config, Input::frames([8, 8], 3), 0, &device).unwrap();
        let clips = clips(2, &device);
        assert!(trainer.step(&clips, true).is_ok(), "the first weights are sound");
        let results: Vec<_> = (0..4).map(|idx| trainer.step(&clips, idx == 3)).collect();
        let Err(Error::Diverged { step, loss }) = &results[3] else { panic!("still finite") };
        assert!((2..=3).contains(step) && !loss.is_finite(), "step {step}: {loss}");
    }
}
