//! DINO's cross-entropy between a student and a teacher.

use burn::tensor::Tensor;

use super::with_gradients;

/// The logits of the student or the teacher in [`distillation`], as their two factors: a logit is
/// the inner product of a token and a prototype, divided by the temperature.
#[derive(Clone, Debug)]
pub struct PrototypeLogits {
    /// Tokens on the unit sphere, `[rows, d]`.
    pub tokens: Tensor<2>,
    /// Prototypes, `[k, d]`.
    pub prototypes: Tensor<2>,
    /// Divides the logits before the softmax.
    pub temperature: f64,
}

/// The result of [`distillation`].
#[derive(Debug)]
pub struct Distillation {
    /// Cross-entropy, mean over the rows. Gradients flow to the student's tokens and prototypes.
    pub loss: Tensor<1>,
    /// Entropy of the teacher's distribution in nats, mean over the rows.
    pub entropy: Tensor<1>,
}

/// DINO's cross-entropy of `softmax(student/τ_s)` under `softmax((teacher − centre)/τ_t)`, mean
/// over the rows (Caron et al., 2021, eq. 2).
///
/// With thousands of prototypes the logits are by far the largest tensors of a step. They are
/// therefore computed `chunk` rows at a time and not kept; the gradient is computed in closed form:
/// `∂ce/∂logits = (softmax(student/τ_s) − p_teacher) / τ_s`.
///
/// `teacher` and `centre` `[1, k]` must be without gradient tracking.
pub fn distillation(
    student: &PrototypeLogits,
    teacher: &PrototypeLogits,
    centre: &Tensor<2>,
    chunk: usize,
) -> Distillation {
    let (tokens, prototypes) = (student.tokens.clone().inner(), student.prototypes.clone().inner());
    let [rows, _] = tokens.dims();
    let scale = 1.0 / (student.temperature * rows as f64);
    let mut sums: Option<Sums> = None;
    let mut token_grads = Vec::new();
    for from in (0..rows).step_by(chunk) {
        let len = chunk.min(rows - from);
        let x = tokens.clone().narrow(0, from, len);
        let predicted = Softmax::of(x.clone().matmul(prototypes.clone().transpose()), student);
        let tokens = teacher.tokens.clone().narrow(0, from, len);
        let raw = tokens.matmul(teacher.prototypes.clone().transpose());
        let target = Softmax::of(raw - centre.clone(), teacher);

        let cross_entropy = predicted.cross_entropy(&target.probabilities);
        let entropy = target.cross_entropy(&target.probabilities);
        let grad = (predicted.probabilities - target.probabilities) * scale;
        token_grads.push(grad.clone().matmul(prototypes.clone()));
        let prototype_grad = grad.transpose().matmul(x);
        let part = Sums { cross_entropy, entropy, prototype_grad };
        sums = Some(match sums {
            Some(sums) => sums.plus(part),
            None => part,
        });
    }
    let sums = sums.expect("at least one row");
    let token_grad = Tensor::cat(token_grads, 0);
    let value = sums.cross_entropy / rows as f64;
    let loss = with_gradients(
        value,
        [(&student.tokens, token_grad), (&student.prototypes, sums.prototype_grad)],
    );
    Distillation { loss, entropy: sums.entropy / rows as f64 }
}

/// Sums over the chunks so far.
struct Sums {
    cross_entropy: Tensor<1>,
    entropy: Tensor<1>,
    prototype_grad: Tensor<2>,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            cross_entropy: self.cross_entropy + other.cross_entropy,
            entropy: self.entropy + other.entropy,
            prototype_grad: self.prototype_grad + other.prototype_grad,
        }
    }
}

/// A softmax, with what the cross-entropy needs of it.
struct Softmax {
    logits: Tensor<2>,
    probabilities: Tensor<2>,
    log_partition: Tensor<2>,
}

impl Softmax {
    fn of(logits: Tensor<2>, side: &PrototypeLogits) -> Self {
        let logits = logits / side.temperature;
        let max = logits.clone().max_dim(1);
        let weights = (logits.clone() - max.clone()).exp();
        let total = weights.clone().sum_dim(1);
        let log_partition = max + total.clone().log();
        Self { logits, probabilities: weights / total, log_partition }
    }

    /// `−Σ p ln q` summed over the rows, where `p` is `target` and `q` this softmax.
    fn cross_entropy(&self, target: &Tensor<2>) -> Tensor<1> {
        self.log_partition.clone().sum() - (target.clone() * self.logits.clone()).sum()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::{log_softmax, softmax};
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn sides(device: &Device) -> (PrototypeLogits, PrototypeLogits, Tensor<2>) {
        let random = |shape: [usize; 2], device: &Device| {
            Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device)
        };
        let plain = device.clone().inner();
        let student = PrototypeLogits {
            tokens: random([7, 4], device).require_grad(),
            prototypes: random([9, 4], device).require_grad(),
            temperature: 0.3,
        };
        let teacher = PrototypeLogits {
            tokens: random([7, 4], &plain),
            prototypes: random([9, 4], &plain),
            temperature: 0.2,
        };
        (student, teacher, random([1, 9], &plain))
    }

    /// The same loss from the whole logits, by automatic differentiation.
    fn textbook(
        student: &PrototypeLogits,
        teacher: &PrototypeLogits,
        centre: &Tensor<2>,
    ) -> Tensor<1> {
        let logits = student.tokens.clone().matmul(student.prototypes.clone().transpose());
        let raw = teacher.tokens.clone().matmul(teacher.prototypes.clone().transpose());
        let target = softmax((raw - centre.clone()) / teacher.temperature, 1);
        let log_q = log_softmax(logits / student.temperature, 1);
        -(Tensor::from_inner(target) * log_q).sum_dim(1).mean()
    }

    fn distance(x: Tensor<2>, y: Tensor<2>) -> f32 {
        (x - y).abs().max().into_scalar()
    }

    #[test]
    fn the_closed_form_gradient_equals_automatic_differentiation_for_every_chunk_size() {
        let device = Device::flex().autodiff();
        let (student, teacher, centre) = sides(&device);
        let wanted = textbook(&student, &teacher, &centre);
        let grads = wanted.backward();
        let wanted_tokens = student.tokens.grad(&grads).unwrap();
        let wanted_prototypes = student.prototypes.grad(&grads).unwrap();
        for chunk in [1, 3, 7, 100] {
            let got = distillation(&student, &teacher, &centre, chunk).loss;
            let off: f32 = (got.clone() - wanted.clone()).abs().into_scalar();
            assert!(off < 1e-5, "chunk {chunk}: the loss is off by {off}");
            let grads = got.backward();
            let tokens = distance(student.tokens.grad(&grads).unwrap(), wanted_tokens.clone());
            let prototypes = student.prototypes.grad(&grads).unwrap();
            let prototypes = distance(prototypes, wanted_prototypes.clone());
            assert!(tokens < 1e-5 && prototypes < 1e-5, "chunk {chunk}: {tokens} {prototypes}");
        }
    }

    #[test]
    fn the_loss_of_a_student_that_equals_its_teacher_is_the_entropy() {
        let device = Device::flex().autodiff();
        let (mut student, mut teacher, centre) = sides(&device);
        student.temperature = teacher.temperature;
        teacher.tokens = student.tokens.clone().inner();
        teacher.prototypes = student.prototypes.clone().inner();
        let out = distillation(&student, &teacher, &centre.zeros_like(), 4);
        let (loss, entropy): (f32, f32) = (out.loss.into_scalar(), out.entropy.into_scalar());
        assert!((loss - entropy).abs() < 1e-5, "{loss} is not {entropy}");
    }
}
