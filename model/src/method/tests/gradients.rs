//! Gradients reach every trained parameter, and do not depend on the parts of a batch.

use std::collections::BTreeMap;

use super::cases::{CASES, Case};
use super::harness::{Outcome, harness};

/// Parameters without a gradient, at first or always, as they should be.
struct Exception {
    /// A substring of the case's name, and substrings that it must not contain.
    case: &'static str,
    but: &'static [&'static str],
    /// A substring of the path, and its possible ends.
    within: &'static str,
    ends: &'static [&'static str],
    when: When,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// It is exactly zero at the first step, and not later.
    First,
    /// It is never more than rounding.
    Always,
}

const EXCEPTIONS: &[Exception] = &[
    // A residual branch ends with a scale that starts at zero, so the layers before it get no
    // gradient at first.
    Exception {
        case: "resnet18",
        but: &[],
        within: ".layer",
        ends: &["bn1.gamma", "bn1.beta", "conv1.weight", "conv2.weight"],
        when: When::First,
    },
    // B of `e + B(tanh(r) ⊙ (A e + a))` starts at zero, so A and a get no gradient at first.
    Exception {
        case: "adassl, sparse",
        but: &[],
        within: "rank_one.editor_in",
        ends: &["weight", "bias"],
        when: When::First,
    },
    // The shift of the encoder's last norm goes through a linear layer into a batch norm, which
    // removes it. Where it also goes elsewhere, it has a gradient.
    Exception {
        case: "",
        but: &["tdv", "seq-jepa", "contrastive", "dense"],
        within: "encoder.Vit",
        ends: &["Vit.norm.beta"],
        when: When::Always,
    },
    // The same of the aggregate, before the batch norm of the predictor.
    Exception {
        case: "seq-jepa",
        but: &[],
        within: "heads.aggregator",
        ends: &["aggregator.norm.beta"],
        when: When::Always,
    },
];

/// A gradient below this fraction of the median is rounding. Measured: rounding is below 8e-6 of
/// it, and every other gradient above 9e-5.
const ROUNDING: f32 = 3e-5;

impl Exception {
    fn is_about(&self, case: &Case, path: &str) -> bool {
        case.name.contains(self.case)
            && !self.but.iter().any(|it| case.name.contains(it))
            && path.contains(self.within)
            && self.ends.iter().any(|it| path.ends_with(it))
    }
}

/// The largest number of each gradient.
fn sizes(case: &Case, outcome: &Outcome) -> BTreeMap<String, f32> {
    let size = |(path, grad): (&String, &Option<Vec<f32>>)| {
        let grad = grad.as_ref().unwrap_or_else(|| panic!("{}: no gradient at {path}", case.name));
        (path.clone(), largest(grad))
    };
    outcome.grads.iter().map(size).collect()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, it| it.abs().max(most))
}

/// The median of those that are not zero.
fn median(sizes: &BTreeMap<String, f32>) -> f32 {
    let mut sorted: Vec<_> = sizes.values().copied().filter(|it| *it > 0.0).collect();
    sorted.sort_by(f32::total_cmp);
    sorted[sorted.len() / 2]
}

#[test]
fn every_parameter_is_reached_and_no_running_statistic() {
    let mut found = vec![0; EXCEPTIONS.len()];
    for case in CASES {
        let (mut method, clips) = (harness(case), case.clips(6, 1));
        let steps: Vec<_> = (0..3).map(|_| method.optimizer_step(&clips)).collect();
        assert_eq!(steps[0].trained_statistics, [""; 0], "{}", case.name);
        let [first, second, third] = [0, 1, 2].map(|it| sizes(case, &steps[it]));
        let rounding = ROUNDING * median(&first);
        for (path, size) in &first {
            let exception = EXCEPTIONS.iter().position(|it| it.is_about(case, path));
            exception.iter().for_each(|idx| found[*idx] += 1);
            let later = second[path].max(third[path]);
            let holds = match exception.map(|idx| EXCEPTIONS[idx].when) {
                None => *size > rounding,
                Some(When::First) => *size == 0.0 && later > rounding,
                Some(When::Always) => *size < rounding,
            };
            assert!(holds, "{}: {path} has {size}, later {later}", case.name);
        }
    }
    assert!(found.iter().all(|it| *it > 0), "an exception matches nothing: {found:?}");
}

/// Requires numbers that differ by rounding alone, as a fraction of `scale`; measured is 8e-5.
fn assert_close(a: &[f32], b: &[f32], scale: f32, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 2e-4 * scale, "{what}: {a} and {b}, of {scale}");
    }
}

/// Five clips, so that parts have unequal sizes. The second pass starts from the running means
/// that the first has moved.
#[test]
fn the_parts_of_a_batch_change_neither_losses_nor_gradients() {
    for case in CASES {
        let clips = case.clips(5, 2);
        let passes = |parts| {
            let mut method = harness(case);
            [method.gradients(&clips, parts), method.gradients(&clips, parts)]
        };
        let whole = passes(1);
        for parts in [2, 3] {
            for (pass, (one, split)) in whole.iter().zip(passes(parts)).enumerate() {
                assert_same(
                    case,
                    one,
                    &split,
                    &format!("{}, {parts} parts, pass {pass}", case.name),
                );
            }
        }
    }
}

fn assert_same(case: &Case, one: &Outcome, other: &Outcome, what: &str) {
    assert_eq!(one.terms.len(), other.terms.len(), "{what}");
    for ((name, a), (_, b)) in one.terms.iter().zip(&other.terms) {
        assert_close(&[*a], &[*b], a.abs().max(1.0), &format!("{what}: {name}"));
    }
    for ((name, a), (_, b)) in one.per_clip.iter().zip(&other.per_clip) {
        assert_close(a, b, largest(a).max(1.0), &format!("{what}: {name}"));
    }
    let sizes = sizes(case, one);
    let least = median(&sizes) / 10.0;
    for (path, a) in &one.grads {
        let (a, b) = (a.as_ref().unwrap(), other.grads[path].as_ref().unwrap());
        assert_close(a, b, sizes[path].max(least), &format!("{what}: {path}"));
    }
}
