//! A method without the trainer around it, whose gradients and parts can be seen.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module as _, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};

use super::cases::{Case, STEPS};
use crate::method::registry::each;
use crate::method::{LearningRate, Method, MethodConfig, Setting};
use crate::nn::parameters::is_statistic;
use crate::train::data_parallel::Work;
use crate::{Clips, TrainConfig};

/// What came of a batch.
pub(super) struct Shown {
    /// The loss and its terms.
    pub(super) terms: Vec<(String, f32)>,
    pub(super) per_clip: Vec<(String, Vec<f32>)>,
    /// The gradient of every trained parameter by its path, none where there is none.
    pub(super) grads: BTreeMap<String, Option<Vec<f32>>>,
    /// Paths of running statistics that have a gradient.
    pub(super) trained_statistics: Vec<String>,
}

/// Any method with its networks.
pub(super) trait Bare {
    /// Losses and gradients of a batch worked in `parts`; nothing is learned from it, but a
    /// method's running means move.
    fn look(&mut self, clips: &Clips, parts: usize) -> Shown;

    /// The same, and one step of the optimizer.
    fn learn(&mut self, clips: &Clips) -> Shown;

    /// Writes all weights.
    fn save(&self, folder: &Path);
}

/// The method of a case with fresh networks.
pub(super) fn bare(case: &Case) -> Box<dyn Bare> {
    let (config, input, device) = (case.config(), case.input(), Device::flex());
    config.validate(input, &device).unwrap_or_else(|err| panic!("{}: {err}", case.name));
    let shape = config.shape(input).unwrap();
    let setting = Setting { shape, input, seed: 0, device, encoder: None };
    each!(&config.method, it => alone(it.init(&setting), config.train.clone()))
}

fn alone<M: Method + 'static>(
    (method, student): (M, M::Student),
    train: TrainConfig,
) -> Box<dyn Bare> {
    let groups = method.learning_rates(&student).into_iter();
    let groups = groups.map(|LearningRate { group, multiplier, .. }| (group, multiplier));
    let optimizer = train.optimizer(groups.collect());
    Box::new(Alone { method, student: Some(student), optimizer, train, step: 0 })
}

struct Alone<M: Method> {
    method: M,
    student: Option<M::Student>,
    optimizer: ModuleOptimizer,
    train: TrainConfig,
    step: u64,
}

impl<M: Method> Alone<M> {
    fn work(&mut self, clips: &Clips, parts: usize) -> (Shown, GradientsParams) {
        let student = self.student.as_ref().unwrap();
        let work = Work {
            tracked: Device::flex().autodiff(),
            parts,
            share: 1.0,
            number: self.step,
            step: self.step + 1,
            progress: (self.step + 1) as f64 / STEPS as f64,
            read: true,
        };
        let done = self.method.step(student, clips, &work);
        let mut sum = GradientsAccumulator::new();
        done.grads.into_iter().for_each(|grads| sum.accumulate(student, grads));
        let grads = sum.grads();
        let mut collect = Collect { grads: &grads, path: Vec::new(), all: BTreeMap::new() };
        student.visit(&mut collect);
        let is_running = |path: &str| path.rsplit('.').next().is_some_and(is_statistic);
        let (statistics, learned): (BTreeMap<_, _>, BTreeMap<_, _>) =
            collect.all.into_iter().partition(|it| is_running(&it.0));
        let trained = statistics.into_iter().filter(|it| it.1.is_some()).map(|it| it.0);
        let mut shown = Shown {
            terms: Vec::new(),
            per_clip: Vec::new(),
            grads: learned,
            trained_statistics: trained.collect(),
        };
        for (losses, share) in done.losses {
            let terms = [("loss", losses.total)].into_iter().chain(losses.terms);
            for (idx, (name, it)) in terms.enumerate() {
                let value = it.into_scalar::<f32>() * share as f32;
                match shown.terms.get_mut(idx) {
                    Some(sum) => sum.1 += value,
                    None => shown.terms.push((name.into(), value)),
                }
            }
            for (idx, (name, it)) in losses.per_clip.into_iter().enumerate() {
                match shown.per_clip.get_mut(idx) {
                    Some(all) => all.1.extend(floats(it)),
                    None => shown.per_clip.push((name.into(), floats(it))),
                }
            }
        }
        (shown, grads)
    }
}

impl<M: Method> Bare for Alone<M> {
    fn look(&mut self, clips: &Clips, parts: usize) -> Shown {
        self.work(clips, parts).0
    }

    fn learn(&mut self, clips: &Clips) -> Shown {
        let (shown, grads) = self.work(clips, 1);
        self.step += 1;
        let student = self.student.take().unwrap();
        let rate = self.train.learning_rate_at(self.step);
        let student = self.optimizer.step(rate, student, grads);
        self.method.after_step(&student, self.step as f64 / STEPS as f64);
        self.student = Some(student);
        shown
    }

    fn save(&self, folder: &Path) {
        self.method.save(self.student.as_ref().unwrap(), folder).unwrap();
    }
}

struct Collect<'a> {
    grads: &'a GradientsParams,
    path: Vec<String>,
    all: BTreeMap<String, Option<Vec<f32>>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let grad = self.grads.get::<D>(param.id).map(floats);
        self.all.insert(self.path.join("."), grad);
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}
