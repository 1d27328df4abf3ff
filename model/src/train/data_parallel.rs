//! Runs the parts of a micro-batch in parallel.
//!
//! ```text
//! independent   part ─▶ loss      gathered   part ─▶ encode ─┐         ┌─▶ backward of the part
//!               part ─▶ loss                 part ─▶ encode ─┴▶ loss ──┴─▶ backward of the part
//! ```
//!
//! With `independent` the loss is a mean over clips. With `gathered` it is over the whole batch, and
//! the graph is split at the embeddings. Both give the gradients of one graph over the micro-batch.
//!
//! Most operations of the CPU backend keep a single core busy. Clips do not depend on each other
//! until their gradients are summed, or until the loss, so each core gets a part of the batch. No
//! other file uses rayon.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::device::cpu;
use crate::method::Losses;

/// A micro-batch of a step, and how to run it.
#[derive(Clone, Debug)]
pub(crate) struct StepContext {
    /// The device with gradients.
    pub(crate) autodiff: Device,
    /// Parts that run in parallel.
    pub(crate) parts: usize,
    /// The micro-batch's share of the batch.
    pub(crate) share: f64,
    /// The index of the micro-batch in the run, for random draws.
    pub(crate) micro_batch: u64,
    /// The optimizer step, counted from 1.
    pub(crate) step: u64,
    /// The share of the run that is over, 0..=1.
    pub(crate) progress: f64,
    /// Whether the metrics of this step are read; otherwise those that cost time are left out.
    pub(crate) read: bool,
}

#[cfg(test)]
impl StepContext {
    /// The whole of a batch on the CPU, in `parts`.
    pub(crate) fn for_tests(parts: usize) -> Self {
        let autodiff = Device::flex().autodiff();
        Self { autodiff, parts, share: 1.0, micro_batch: 3, step: 3, progress: 0.0, read: false }
    }
}

/// The losses of a micro-batch with their shares of the batch, and gradients to be summed.
#[derive(Default)]
pub(crate) struct StepOutput {
    pub(crate) losses: Vec<(Losses, f64)>,
    pub(crate) grads: Vec<GradientsParams>,
}

/// Runs `loss` on every part, each given with its number of clips. The loss of the micro-batch is
/// the mean over its clips.
pub(crate) fn independent<S: Module + Sync, P: Send>(
    student: &S,
    context: &StepContext,
    parts: Vec<(usize, P)>,
    loss: impl Fn(&S, P) -> Losses + Sync,
) -> StepOutput {
    let clips: usize = parts.iter().map(|it| it.0).sum();
    let outputs = map(parts, |(len, part)| {
        let share = context.share * len as f64 / clips as f64;
        let replica = replica(student, context);
        let losses = loss(&replica, part);
        let grads = (losses.total.clone() * share).backward();
        (losses.inner(), share, GradientsParams::from_grads(grads, &replica))
    });
    let mut output = StepOutput::default();
    for (losses, share, grads) in outputs {
        output.losses.push((losses, share));
        output.grads.push(grads);
    }
    output
}

/// Runs `encode` on every part. [`Gathered::loss`] then takes the loss over all of them.
pub(crate) fn gathered<'a, S: Module + Sync, const P: usize, const D: usize>(
    student: &'a S,
    context: &'a StepContext,
    parts: Vec<Tensor<P>>,
    encode: impl Fn(&S, Tensor<P>) -> Tensor<D> + Sync,
) -> Gathered<'a, S, D> {
    let encoded = map(parts, |part| {
        let replica = replica(student, context);
        let encoded = encode(&replica, Tensor::from_inner(part));
        (replica, encoded)
    });
    Gathered { student, context, encoded }
}

/// The encoded parts of a micro-batch, each with the replica of the student that encoded it.
pub(crate) struct Gathered<'a, S, const D: usize> {
    student: &'a S,
    context: &'a StepContext,
    encoded: Vec<(S, Tensor<D>)>,
}

impl<S: Module + Sync, const D: usize> Gathered<'_, S, D> {
    /// Runs `loss` on the encoded parts, concatenated in their order, and then the backward pass of
    /// every part.
    pub(crate) fn loss(self, loss: impl FnOnce(&S, Tensor<D>) -> Losses) -> StepOutput {
        let Self { student, context, encoded } = self;
        // A single graph needs no split, which costs a copy.
        if let [(replica, encoded)] = encoded.as_slice() {
            let losses = loss(replica, encoded.clone());
            let grads = (losses.total.clone() * context.share).backward();
            let grads = GradientsParams::from_grads(grads, replica);
            return StepOutput {
                losses: vec![(losses.inner(), context.share)],
                grads: vec![grads],
            };
        }
        let leaves: Vec<_> =
            encoded.iter().map(|(_, encoded)| encoded.clone().detach().require_grad()).collect();
        let middle = replica(student, context);
        let losses = loss(&middle, Tensor::cat(leaves.clone(), 0));
        let grads = (losses.total.clone() * context.share).backward();
        let leaf_grads: Vec<_> = leaves.iter().map(|leaf| leaf.grad(&grads)).collect();
        let mut output = StepOutput {
            losses: vec![(losses.inner(), context.share)],
            grads: vec![GradientsParams::from_grads(grads, &middle)],
        };
        let encoded = encoded.into_iter().zip(leaf_grads);
        let outer = map(encoded.collect(), |((replica, encoded), grad)| {
            let grad = grad?;
            let grads = (encoded * Tensor::from_inner(grad)).sum().backward();
            Some(GradientsParams::from_grads(grads, &replica))
        });
        output.grads.extend(outer.into_iter().flatten());
        output
    }
}

/// A copy with leaves of its own, because graphs that share leaves wait for each other. Ids and
/// weights are shared.
fn replica<S: Module>(student: &S, context: &StepContext) -> S {
    student.clone().fork(&context.autodiff)
}

/// The number of parts that suits a device: one per core of the CPU, one for a GPU.
pub(crate) fn parts(device: &Device) -> usize {
    if device.clone().inner() == cpu() { rayon::current_num_threads() } else { 1 }
}

/// `work` on every item in parallel, results in order; a single item runs on the caller's thread.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    items.into_par_iter().map(&work).collect()
}

#[cfg(test)]
mod tests {
    use burn::module::{ModuleVisitor, Param};
    use burn::nn::Linear;
    use burn::optim::GradientsAccumulator;
    use burn::tensor::Distribution;

    use super::*;
    use crate::Init;

    struct Collect<'a>(&'a GradientsParams, Vec<Vec<f32>>);

    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let grad = self.0.get::<D>(param.id).expect("a gradient for every parameter");
            self.1.push(grad.into_data().try_to_vec().unwrap());
        }
    }

    /// Gradients of a loss over all pairs of rows.
    fn gradients(network: &Vec<Linear>, x: &Tensor<2>, parts: usize) -> Vec<Vec<f32>> {
        let context = StepContext { share: 0.5, ..StepContext::for_tests(parts) };
        let encoded = gathered(network, &context, x.clone().chunk(parts, 0), |network, x| {
            network[0].forward(x).tanh()
        });
        let output = encoded.loss(|network, encoded: Tensor<2>| {
            let out = network[1].forward(encoded);
            let total = out.clone().matmul(out.transpose()).square().mean();
            let (terms, per_clip, tokens) = (Vec::new(), Vec::new(), Vec::new());
            Losses { total, terms, per_clip, tokens, projections: None }
        });
        let mut sum = GradientsAccumulator::new();
        output.grads.into_iter().for_each(|grads| sum.accumulate(network, grads));
        let grads = sum.grads();
        let mut collect = Collect(&grads, Vec::new());
        network.visit(&mut collect);
        collect.1
    }

    #[test]
    fn a_split_graph_has_the_gradients_of_the_whole() {
        let device = Device::flex();
        let mut init = Init::new(0, &device.clone().autodiff());
        let network = vec![init.default_linear(4, 5), init.default_linear(5, 3)];
        let x = Tensor::<2>::random([7, 4], Distribution::Normal(0.0, 1.0), &device);
        let whole = gradients(&network, &x, 1);
        assert!(whole.iter().flatten().any(|it| it.abs() > 1e-6));
        for parts in [2, 3, 7] {
            for (one, other) in whole.iter().zip(gradients(&network, &x, parts)) {
                for (a, b) in one.iter().zip(other) {
                    assert!((a - b).abs() < 1e-6, "{parts} parts: {a} and {b}");
                }
            }
        }
    }
}
