//! One training step, the same for every method. The caller owns the loop.

use std::path::Path;

use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};

use crate::method::{LearningRate, Losses, Method};
use crate::{Clips, Config, EmbedConfig, Error, Pool, Result, TrainConfig, gradients};

/// A method together with its optimizer, whichever method it is.
pub trait Trainer {
    /// One optimizer step. Reading the loss waits for the device, so only `read` does it.
    ///
    /// # Errors
    /// With `read`, any loss since the last read was not finite.
    fn step(&mut self, clips: &Clips, read: bool) -> Result<Option<Report>>;

    /// Embeddings of the first frame of every clip.
    fn embed(&self, clips: &Clips) -> Embeddings;

    /// The networks by name, and how many parameters each has.
    fn parameters(&self) -> Vec<(&'static str, usize)>;

    /// Writes all weights into `folder`, which exists: `encoder.safetensors` is the teacher's
    /// frame encoder with DINOv2's names.
    ///
    /// # Errors
    /// A file cannot be written.
    fn save(&self, folder: &Path) -> Result<()>;
}

/// What a step showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Named numbers of the step; `loss` is the first.
    pub values: Vec<(String, f32)>,
    /// Named numbers a clip of the batch.
    pub per_clip: Vec<(String, Vec<f32>)>,
}

/// One vector a clip.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// Name of the encoder.
    pub encoder: &'static str,
    /// Width of a vector.
    pub dim: usize,
    /// `[n, dim]`, row by row.
    pub values: Vec<f32>,
}

/// A fresh trainer for the configured method, for frames of `image` = `[height, width]`.
///
/// # Errors
/// The configuration cannot be used; see [`Config::validate`].
pub fn trainer(
    config: &Config,
    image: [usize; 2],
    seed: u64,
    device: &Device,
) -> Result<Box<dyn Trainer>> {
    config.validate(image, device)?;
    let shape = config.encoder.shape(image, config.precision)?;
    Ok(config.method.trainer(config, &shape, seed, device))
}

pub(crate) struct MethodTrainer<M: Method> {
    method: M,
    /// Absent only while the optimizer holds it: it updates in place what nobody else holds.
    student: Option<M::Student>,
    optimizer: ModuleOptimizer,
    learning_rates: Vec<(&'static str, f64)>,
    train: TrainConfig,
    embed: EmbedConfig,
    device: Device,
    step: u64,
    /// Losses that nobody has looked at yet, the oldest first.
    unread: Vec<Tensor<1>>,
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
            device: device.clone(),
            method,
            student: Some(student),
            step: 0,
            unread: Vec::new(),
        }
    }

    fn student(&self) -> &M::Student {
        self.student.as_ref().expect("no step is under way")
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&M, &M::Student) {
        (&self.method, self.student())
    }

    /// The loss of the batch and its gradients, a part of the batch at a time.
    fn gradients(&mut self, clips: &Clips, monitor: bool) -> (Losses, GradientsParams) {
        let student = self.student.as_ref().expect("no step is under way");
        let mut sum = GradientsAccumulator::new();
        let mut parts = Vec::new();
        for part in clips.chunks(self.train.accumulate) {
            let share = part.len() as f64 / clips.len() as f64;
            let mut losses = self.method.loss(student, &part, monitor);
            let grads = (losses.total.clone() * share).backward();
            sum.accumulate(student, GradientsParams::from_grads(grads, student));
            losses.total = losses.total.inner();
            parts.push((share, losses));
        }
        (merge(parts), sum.grads())
    }

    fn read(&mut self, losses: Losses, grad_norm: Tensor<1>) -> Result<Report> {
        let unread = Tensor::cat(std::mem::take(&mut self.unread), 0);
        let unread = floats(unread);
        let first = self.step + 1 - unread.len() as u64;
        if let Some(idx) = unread.iter().position(|it| !it.is_finite()) {
            return Err(Error::Diverged { step: first + idx as u64, loss: unread[idx] });
        }
        let loss = unread.last().copied().unwrap_or(f32::NAN);
        let rate = self.train.learning_rate_at(self.step);
        let mut values = vec![("loss".to_owned(), loss)];
        let monitors = losses.monitors.into_iter().chain([("grad_norm", grad_norm)]);
        values.extend(monitors.map(|(name, it)| (name.to_owned(), it.into_scalar::<f32>())));
        values.push(("learning_rate".into(), rate as f32));
        let others = self.learning_rates.iter();
        values.extend(others.map(|(name, times)| ((*name).to_owned(), (rate * times) as f32)));
        let per_clip = losses.per_clip.into_iter();
        let per_clip = per_clip.map(|(name, it)| (name.to_owned(), floats(it))).collect();
        Ok(Report { values, per_clip })
    }
}

impl<M: Method> Trainer for MethodTrainer<M> {
    fn step(&mut self, clips: &Clips, read: bool) -> Result<Option<Report>> {
        self.step += 1;
        let (losses, mut grads) = self.gradients(clips, read);
        let max_norm = self.train.grad_clip;
        let norm = gradients::clip(self.student(), &mut grads, max_norm, &self.device);
        let rate = self.train.learning_rate_at(self.step);
        let student = self.student.take().expect("no step is under way");
        let student = self.optimizer.step(rate, student, grads);
        self.method.after_step(&student);
        self.student = Some(student);
        self.unread.push(losses.total.clone());
        if read { self.read(losses, norm).map(Some) } else { Ok(None) }
    }

    fn embed(&self, clips: &Clips) -> Embeddings {
        let EmbedConfig { encoder, pool } = self.embed;
        let tokens = self.method.tokens(self.student(), clips.frames(0, 1), encoder);
        let [n, count, dim] = tokens.dims();
        let rows: Tensor<2> = match pool {
            Pool::Cls => tokens.narrow(1, 0, 1).reshape([n, dim]),
            Pool::Patches => tokens.narrow(1, 1, count - 1).mean_dim(1).reshape([n, dim]),
        };
        let values = rows.into_data().try_to_vec().expect("float32 rows");
        Embeddings { encoder: encoder.name(), dim, values }
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        self.method.parameters(self.student())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        self.method.save(self.student(), folder)
    }
}

/// The losses of a batch from those of its parts, each with its share of the clips.
fn merge(parts: Vec<(f64, Losses)>) -> Losses {
    let mut parts = parts.into_iter().map(|(share, it)| Losses {
        total: it.total * share,
        monitors: it.monitors.into_iter().map(|(name, it)| (name, it * share)).collect(),
        per_clip: it.per_clip,
    });
    let first = parts.next().expect("at least one part");
    parts.fold(first, |sum, part| Losses {
        total: sum.total + part.total,
        monitors: zip(sum.monitors, part.monitors, |a, b| a + b),
        per_clip: zip(sum.per_clip, part.per_clip, |a, b| Tensor::cat(vec![a, b], 0)),
    })
}

type Named = Vec<(&'static str, Tensor<1>)>;

fn zip(a: Named, b: Named, join: impl Fn(Tensor<1>, Tensor<1>) -> Tensor<1>) -> Named {
    a.into_iter().zip(b).map(|((name, a), (_, b))| (name, join(a, b))).collect()
}

fn floats(values: Tensor<1>) -> Vec<f32> {
    values.into_data().try_to_vec().expect("float32 values")
}
