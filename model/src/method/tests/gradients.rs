//! Gradients reach all that learns, and are the same in however many parts a batch is worked.

use std::collections::BTreeMap;

use super::bare::{Shown, bare};
use super::cases::{CASES, Case};

/// Parameters that rightly have no gradient, at first or ever.
struct Exception {
    /// A part of the case's name, and parts that it must not have.
    case: &'static str,
    but: &'static [&'static str],
    /// A part of the path, and its possible ends.
    within: &'static str,
    ends: &'static [&'static str],
    when: When,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// At the first step it is exactly zero, later it is not.
    First,
    /// It is never more than rounding.
    Always,
}

const EXCEPTIONS: &[Exception] = &[
    // A residual branch ends with a scale that starts at zero, and what is before it waits.
    Exception {
        case: "resnet18",
        but: &[],
        within: ".layer",
        ends: &["bn1.gamma", "bn1.beta", "conv1.weight", "conv2.weight"],
        when: When::First,
    },
    // B of `e + B(tanh(r) ⊙ (A e + a))` starts at zero, so that A and a wait.
    Exception {
        case: "adassl, sparse",
        but: &[],
        within: "rank_one.editor_in",
        ends: &["weight", "bias"],
        when: When::First,
    },
    // The shift of the encoder's last norm goes through a linear layer into a batch norm, which
    // takes it out again. Where it goes elsewhere too, it has a gradient.
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
        within: "behind.aggregator",
        ends: &["aggregator.norm.beta"],
        when: When::Always,
    },
];

/// What is less than this part of the median gradient is rounding. Measured: rounding stays
/// below 8e-6 of it, and every true gradient above 9e-5.
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
fn sizes(case: &Case, shown: &Shown) -> BTreeMap<String, f32> {
    let size = |(path, grad): (&String, &Option<Vec<f32>>)| {
        let grad = grad.as_ref().unwrap_or_else(|| panic!("{}: no gradient at {path}", case.name));
        (path.clone(), largest(grad))
    };
    shown.grads.iter().map(size).collect()
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
        let (mut method, clips) = (bare(case), case.clips(6, 1));
        let steps: Vec<_> = (0..3).map(|_| method.learn(&clips)).collect();
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
    assert!(found.iter().all(|it| *it > 0), "an exception is about nothing: {found:?}");
}

/// Numbers that differ by no more than rounding does, as a part of `scale`; measured is 8e-5.
fn assert_close(a: &[f32], b: &[f32], scale: f32, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 2e-4 * scale, "{what}: {a} and {b}, of {scale}");
    }
}

/// Five clips, so that parts are of unequal size; the second look begins from the running means
/// that the first has moved.
#[test]
fn the_parts_of_a_batch_change_neither_losses_nor_gradients() {
    for case in CASES {
        let clips = case.clips(5, 2);
        let looks = |parts| {
            let mut method = bare(case);
            [method.look(&clips, parts), method.look(&clips, parts)]
        };
        let whole = looks(1);
        for parts in [2, 3] {
            for (look, (one, cut)) in whole.iter().zip(looks(parts)).enumerate() {
                assert_same(case, one, &cut, &format!("{}, {parts} parts, look {look}", case.name));
            }
        }
    }
}

fn assert_same(case: &Case, one: &Shown, other: &Shown, what: &str) {
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
