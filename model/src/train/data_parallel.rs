//! How the work on a micro-batch is laid out: clips that do not meet are worked on at once, and
//! where they meet, the graph is cut, so that both of its halves can be.
//!
//! ```text
//! apart     part ─▶ loss          together  part ─▶ see ─┐        ┌─▶ part's half of backward
//!           part ─▶ loss                    part ─▶ see ─┴▶ meet ─┴─▶ part's half of backward
//! ```
//!
//! Both give the gradients that one graph over the whole micro-batch would give.
//!
//! The CPU backend keeps one core busy through most of its operations, for they are too small to
//! be worth splitting. Clips do not depend on each other until their gradients are summed, so
//! that a part of the batch for every core is the better cut. The only file that names rayon.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::device::cpu;
use crate::loss::Losses;

/// A micro-batch of one step, as the trainer hands it out.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// The device that tracks gradients.
    pub(crate) tracked: Device,
    /// Parts that are worked on at once.
    pub(crate) parts: usize,
    /// The share of the batch that the micro-batch is.
    pub(crate) share: f64,
    /// A number of its own for every micro-batch of the run, for draws.
    pub(crate) number: u64,
    /// The optimizer step, counted from 1.
    pub(crate) step: u64,
    /// The share of the run that is over, 0..1.
    pub(crate) progress: f64,
    /// Whether the losses will be read: only then is it worth to measure more than training
    /// needs.
    pub(crate) read: bool,
}

/// What came of a micro-batch: losses with their share of the batch, and gradients to be summed.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) losses: Vec<(Losses, f64)>,
    pub(crate) grads: Vec<GradientsParams>,
}

/// Runs `loss` on every part, at once. The loss of the micro-batch is the mean of its parts',
/// each weighted with the number of its clips.
pub(crate) fn apart<S: Module + Sync, P: Send>(
    student: &S,
    work: &Work,
    parts: Vec<(usize, P)>,
    loss: impl Fn(&S, P) -> Losses + Sync,
) -> Done {
    let clips: usize = parts.iter().map(|it| it.0).sum();
    let done = map(parts, |(len, part)| {
        let share = work.share * len as f64 / clips as f64;
        let replica = replica(student, work);
        let losses = loss(&replica, part);
        let grads = (losses.total.clone() * share).backward();
        (losses.untracked(), share, GradientsParams::from_grads(grads, &replica))
    });
    let mut all = Done::default();
    for (losses, share, grads) in done {
        all.losses.push((losses, share));
        all.grads.push(grads);
    }
    all
}

/// Runs `see` on every part, at once, and `meet` on what all of them saw, joined along the
/// first dimension in the order of the parts.
pub(crate) fn together<S: Module + Sync, P: Send, const D: usize>(
    student: &S,
    work: &Work,
    parts: Vec<P>,
    see: impl Fn(&S, P) -> Tensor<D> + Sync,
    meet: impl FnOnce(&S, Tensor<D>) -> Losses,
) -> Done {
    let halves = map(parts, |part| {
        let replica = replica(student, work);
        let seen = see(&replica, part);
        (replica, seen)
    });
    // A cut costs a pass over the seam, and a single graph needs none.
    if let [(replica, seen)] = halves.as_slice() {
        let losses = meet(replica, seen.clone());
        let grads = (losses.total.clone() * work.share).backward();
        let grads = GradientsParams::from_grads(grads, replica);
        return Done { losses: vec![(losses.untracked(), work.share)], grads: vec![grads] };
    }
    let seams: Vec<_> =
        halves.iter().map(|(_, seen)| seen.clone().detach().require_grad()).collect();
    let middle = replica(student, work);
    let losses = meet(&middle, Tensor::cat(seams.clone(), 0));
    let grads = (losses.total.clone() * work.share).backward();
    let pulls = seams.iter().map(|seam| seam.grad(&grads));
    let halves = halves.into_iter().zip(pulls.collect::<Vec<_>>());
    let mut all = Done { losses: vec![(losses.untracked(), work.share)], grads: Vec::new() };
    all.grads.push(GradientsParams::from_grads(grads, &middle));
    let outer = map(halves.collect(), |((replica, seen), pull)| {
        let pull = pull?;
        let grads = (seen * Tensor::from_inner(pull)).sum().backward();
        Some(GradientsParams::from_grads(grads, &replica))
    });
    all.grads.extend(outer.into_iter().flatten());
    all
}

/// A copy with a graph of its own, for graphs that share leaves wait for each other. It has the
/// same ids, and shares the numbers.
fn replica<S: Module>(student: &S, work: &Work) -> S {
    student.clone().fork(&work.tracked)
}

/// Parts of a batch that a device works on best at once: one a core of the CPU, and a GPU fills
/// itself.
pub(crate) fn parts(device: &Device) -> usize {
    if device.clone().inner() == cpu() { rayon::current_num_threads() } else { 1 }
}

/// `work` of every item, in their order; of a single item on the caller's own thread.
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

    /// Gradients of a loss in which every row meets every other.
    fn gradients(network: &Vec<Linear>, x: &Tensor<2>, parts: usize) -> Vec<Vec<f32>> {
        let tracked = x.device().autodiff();
        let work =
            Work { tracked, parts, share: 0.5, number: 0, step: 1, progress: 0.0, read: false };
        let done = together(
            network,
            &work,
            x.clone().chunk(parts, 0),
            |network, x| network[0].forward(Tensor::from_inner(x)).tanh(),
            |network, seen: Tensor<2>| {
                let out = network[1].forward(seen);
                Losses::of(out.clone().matmul(out.transpose()).square().mean())
            },
        );
        let mut sum = GradientsAccumulator::new();
        done.grads.into_iter().for_each(|grads| sum.accumulate(network, grads));
        let grads = sum.grads();
        let mut collect = Collect(&grads, Vec::new());
        network.visit(&mut collect);
        collect.1
    }

    #[test]
    fn a_cut_graph_has_the_gradients_of_the_whole() {
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
