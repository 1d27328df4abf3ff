//! A method without its trainer, for tests of its gradients and its parts.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module as _, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};

use super::cases::{Case, STEPS};
use crate::method::{InitContext, Initialised, LearningRate, Method, Recipe as _, with_recipe};
use crate::nn::parameters::is_statistic;
use crate::train::data_parallel::StepContext;
use crate::train::ema;
use crate::train::state::save_networks;
use crate::{Clips, TrainConfig};

/// Losses and gradients of a batch.
pub(super) struct Outcome {
    /// The loss and its terms.
    pub(super) terms: Vec<(String, f32)>,
    pub(super) per_clip: Vec<(String, Vec<f32>)>,
    /// The gradient of every trained parameter by its path, none where there is none.
    pub(super) grads: BTreeMap<String, Option<Vec<f32>>>,
    /// Paths of running statistics that have a gradient.
    pub(super) trained_statistics: Vec<String>,
}

/// Any method with its networks.
pub(super) trait Harness {
    /// Losses and gradients of a batch in `parts`. Weights do not change, but a method's running
    /// means do.
    fn gradients(&mut self, clips: &Clips, parts: usize) -> Outcome;

    /// The same, and one step of the optimizer.
    fn optimizer_step(&mut self, clips: &Clips) -> Outcome;

    /// Writes all weights.
    fn save(&self, folder: &Path);
}

/// The method of a case with fresh networks.
pub(super) fn harness(case: &Case) -> Box<dyn Harness> {
    let (config, input, device) = (case.config(), case.input(), Device::flex());
    config.validate(input, &device).unwrap_or_else(|err| panic!("{}: {err}", case.name));
    let shape = config.shape(input).unwrap();
    let context = InitContext { shape, input, seed: 0, device, encoder: None };
    with_recipe!(&config.method, recipe => boxed(recipe.init(&context), config.train.clone()))
}

fn boxed<M: Method + 'static>(fresh: Initialised<M>, train: TrainConfig) -> Box<dyn Harness> {
    let Initialised { method, student, teacher } = fresh;
    let groups = method.learning_rates(&student).into_iter();
    let groups = groups.map(|LearningRate { group, multiplier, .. }| (group, multiplier));
    let optimizer = train.optimizer(groups.collect());
    Box::new(MethodHarness { method, student: Some(student), teacher, optimizer, train, step: 0 })
}

struct MethodHarness<M: Method> {
    method: M,
    student: Option<M::Student>,
    teacher: M::Teacher,
    optimizer: ModuleOptimizer,
    train: TrainConfig,
    step: u64,
}

impl<M: Method> MethodHarness<M> {
    fn run(&mut self, clips: &Clips, parts: usize) -> (Outcome, GradientsParams) {
        let student = self.student.as_ref().unwrap();
        let context = StepContext {
            autodiff: Device::flex().autodiff(),
            parts,
            share: 1.0,
            micro_batch: self.step,
            step: self.step + 1,
            progress: (self.step + 1) as f64 / STEPS as f64,
            read: true,
        };
        let output = self.method.step(student, &self.teacher, clips, &context);
        let mut sum = GradientsAccumulator::new();
        output.grads.into_iter().for_each(|grads| sum.accumulate(student, grads));
        let grads = sum.grads();
        let mut collect = Collect { grads: &grads, path: Vec::new(), all: BTreeMap::new() };
        student.visit(&mut collect);
        let is_running = |path: &str| path.rsplit('.').next().is_some_and(is_statistic);
        let (statistics, learned): (BTreeMap<_, _>, BTreeMap<_, _>) =
            collect.all.into_iter().partition(|it| is_running(&it.0));
        let trained = statistics.into_iter().filter(|it| it.1.is_some()).map(|it| it.0);
        let mut outcome = Outcome {
            terms: Vec::new(),
            per_clip: Vec::new(),
            grads: learned,
            trained_statistics: trained.collect(),
        };
        for (losses, share) in output.losses {
            let terms = [("loss", losses.total)].into_iter().chain(losses.terms);
            for (idx, (name, it)) in terms.enumerate() {
                let value = it.into_scalar::<f32>() * share as f32;
                match outcome.terms.get_mut(idx) {
                    Some(sum) => sum.1 += value,
                    None => outcome.terms.push((name.into(), value)),
                }
            }
            for (idx, (name, it)) in losses.per_clip.into_iter().enumerate() {
                match outcome.per_clip.get_mut(idx) {
                    Some(all) => all.1.extend(floats(it)),
                    None => outcome.per_clip.push((name.into(), floats(it))),
                }
            }
        }
        (outcome, grads)
    }
}

impl<M: Method> Harness for MethodHarness<M> {
    fn gradients(&mut self, clips: &Clips, parts: usize) -> Outcome {
        self.run(clips, parts).0
    }

    fn optimizer_step(&mut self, clips: &Clips) -> Outcome {
        let (outcome, grads) = self.run(clips, 1);
        self.step += 1;
        let student = self.student.take().unwrap();
        let learning_rate = self.train.learning_rate_at(self.step);
        let student = self.optimizer.step(learning_rate, student, grads);
        let progress = self.step as f64 / STEPS as f64;
        if let Some((followed, momentum)) = self.method.followed(&student, progress) {
            self.teacher = ema::update(self.teacher.clone(), &followed, momentum);
        }
        self.student = Some(student);
        outcome
    }

    fn save(&self, folder: &Path) {
        save_networks::<M>(self.student.as_ref().unwrap(), &self.teacher, folder).unwrap();
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
