//! Exponential moving averages of weights.

use std::{any::Any, collections::VecDeque};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::nn::parameters::is_statistic;

/// `teacher ← momentum · teacher + (1 − momentum) · student`, parameter by parameter; a momentum of
/// 0 copies the student. The teacher is on the device without gradients, and its batch norms have
/// statistics of their own.
///
/// Parameters are matched by their order and not by their id: the optimizer finds gradients by id,
/// so a teacher with the student's ids would get its gradients.
pub(crate) fn update<M: Module>(teacher: M, student: &M, momentum: f64) -> M {
    let mut weights = Collect { weights: VecDeque::new(), path: Vec::new() };
    student.visit(&mut weights);
    let Collect { weights, path } = weights;
    teacher.map(&mut Blend { weights, momentum, path })
}

/// The momentum that rises from `base` to 1 along a cosine, `progress` of the run done (Grill et
/// al., 2020, section 3.3).
pub(crate) fn cosine(base: f64, progress: f64) -> f64 {
    1.0 - (1.0 - base) * ((std::f64::consts::PI * progress.min(1.0)).cos() + 1.0) / 2.0
}

struct Collect {
    weights: VecDeque<Box<dyn Any>>,
    path: Vec<String>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if is_learned(&self.path) {
            let value = param.val();
            let value = if value.is_autodiff() { value.inner() } else { value };
            self.weights.push_back(Box::new(value));
        }
    }
}

struct Blend {
    weights: VecDeque<Box<dyn Any>>,
    momentum: f64,
    path: Vec<String>,
}

impl ModuleMapper for Blend {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !is_learned(&self.path) {
            return param;
        }
        let student = self.weights.pop_front().expect("same architecture");
        let student = *student.downcast::<Tensor<D>>().expect("same architecture");
        let momentum = self.momentum;
        param.map(|it| if momentum == 0.0 { student } else { blend(it, student, momentum) })
    }
}

fn is_learned(path: &[String]) -> bool {
    !path.last().is_some_and(|it| is_statistic(it))
}

/// A step towards the student, so that a teacher that equals it does not change: the two rounded
/// factors of a weighted sum do not add up to 1.
fn blend<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    teacher.clone() + (student - teacher) * (1.0 - momentum)
}

#[cfg(test)]
mod tests {
    use burn::nn::Linear;
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Distribution, Tensor};

    use super::*;
    use crate::Init;
    use crate::nn::batch_norm::{BatchNorm, NormMode};

    fn sum(layer: &Linear) -> f32 {
        layer.weight.val().sum().into_scalar()
    }

    #[test]
    fn momentum_blends_and_zero_copies() {
        let device = Device::flex();
        let mut init = Init::new(0, &device);
        let (teacher, student) = (init.linear(4, 4), init.linear(4, 4));
        let wanted = 0.9 * sum(&teacher) + 0.1 * sum(&student);
        assert!((sum(&update(teacher.clone(), &student, 0.9)) - wanted).abs() < 1e-6);
        assert_eq!(sum(&update(teacher, &student, 0.0)), sum(&student));
    }

    #[test]
    fn a_teacher_that_equals_its_student_does_not_change_by_a_bit() {
        let device = Device::flex();
        let student = Init::new(0, &device).linear(16, 16);
        let start = update(Init::new(1, &device).linear(16, 16), &student, 0.0);
        let bits = |layer: &Linear| layer.weight.val().into_data().try_to_vec::<f32>().unwrap();
        for momentum in [0.99, 0.996, 0.9991] {
            let after = (0..50).fold(start.clone(), |it, _| update(it, &student, momentum));
            assert_eq!(bits(&after), bits(&student), "{momentum}");
        }
    }

    /// The values of `joint_embedding_losses.json`, section `schedules`.
    #[test]
    fn the_momentum_rises_as_the_papers_do() {
        for (progress, wanted) in [
            (0.0, 0.996),
            (0.25, 0.9965857864376269),
            (0.5, 0.998),
            (0.75, 0.9994142135623731),
            (1.0, 1.0),
        ] {
            assert!((cosine(0.996, progress) - wanted).abs() < 1e-12, "{progress}");
        }
    }

    #[test]
    fn a_teachers_batch_norm_keeps_its_own_statistics() {
        let device = Device::flex();
        let mut init = Init::new(0, &device);
        let [teacher, student] = [(); 2].map(|()| BatchNorm::affine(2, 1.0, &mut init));
        let x = Tensor::<2>::random([6, 2], Distribution::Normal(3.0, 1.0), &device);
        student.forward(x.clone(), NormMode::Train);
        let (before, statistics) = (
            teacher.forward(x.clone(), NormMode::Evaluate),
            student.forward(x.clone(), NormMode::Evaluate),
        );
        let after = update(teacher, &student, 0.0).forward(x, NormMode::Evaluate);
        let off = |other: Tensor<2>| -> f32 { (after.clone() - other).abs().max().into_scalar() };
        assert!(off(before) == 0.0 && off(statistics) > 0.1);
    }

    #[test]
    fn a_copied_teacher_does_not_change_when_its_student_learns() {
        let device = Device::flex().autodiff();
        let student = Init::new(0, &device).linear(2, 2);
        let teacher = Init::new(1, &device.clone().inner()).linear(2, 2);
        let teacher = update(teacher, &student, 0.0);
        let before = sum(&teacher);
        let loss = student.forward(Tensor::<2>::ones([4, 2], &device)).sum();
        let grads = GradientsParams::from_grads(loss.backward(), &student);
        let after = AdamWConfig::new().init().step(0.1, student, grads);
        assert_ne!(sum(&after), before, "the student did not move");
        assert_eq!(sum(&teacher), before);
    }
}
