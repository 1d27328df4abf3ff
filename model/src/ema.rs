//! Exponential moving averages of weights.

use std::{any::Any, collections::VecDeque};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// `teacher ← momentum · teacher + (1 − momentum) · student`, parameter by parameter; zero
/// copies the student. The teacher lives on the device that tracks nothing.
///
/// Parameters are matched by their order, not by their id: an optimizer looks gradients up by
/// id, so a teacher that shared the student's ids would take its gradients.
pub(crate) fn update<M: Module>(teacher: M, student: &M, momentum: f64) -> M {
    let mut weights = Collect(VecDeque::new());
    student.visit(&mut weights);
    teacher.map(&mut Blend { weights: weights.0, momentum })
}

struct Collect(VecDeque<Box<dyn Any>>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        self.0.push_back(Box::new(if value.is_autodiff() { value.inner() } else { value }));
    }
}

struct Blend {
    weights: VecDeque<Box<dyn Any>>,
    momentum: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let student = self.weights.pop_front().expect("same architecture");
        let student = *student.downcast::<Tensor<D>>().expect("same architecture");
        let momentum = self.momentum;
        param.map(|it| if momentum == 0.0 { student } else { blend(it, student, momentum) })
    }
}

fn blend<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    teacher * momentum + student * (1.0 - momentum)
}

#[cfg(test)]
mod tests {
    use burn::nn::Linear;
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::Init;

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
    fn a_copied_teacher_stays_put_when_its_student_learns() {
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
