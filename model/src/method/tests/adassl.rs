//! AdaSSL alone: its warnings and its futures.

use burn::tensor::Device;
use serde_json::json;

use super::cases::{CASES, Case, case};
use crate::MethodConfig;
use crate::method::adassl::{AdaSsl, Latent};
use crate::method::{InitContext, Method as _, Recipe as _};

fn method(case: &Case) -> AdaSsl {
    let (config, input, device) = (case.config(), case.input(), Device::flex());
    let shape = config.shape(input).unwrap();
    let MethodConfig::Adassl(it) = &config.method else { panic!("{} is not AdaSSL", case.name) };
    it.init(&InitContext { shape, input, seed: 0, device, encoder: None }).method
}

/// The kinds of warnings for a divergence in nats and −cos, at the end of a run.
fn kinds(method: &AdaSsl, kl: f32, minus_cosine: f32) -> Vec<&'static str> {
    let values = [("kl".into(), kl), ("minus_cosine".into(), minus_cosine)];
    method.warnings(&values, 1.0).into_iter().map(|it| it.kind).collect()
}

#[test]
fn warnings_come_at_their_thresholds_and_not_before() {
    let gaussian = method(&case("adassl, gaussian"));
    let (collapse, leakage) = (vec!["posterior collapse"], vec!["leakage"]);
    let cases = [
        (0.099, 0.0, &collapse),
        (0.1, 0.0, &vec![]),
        (50.0, -0.951, &vec![]),
        (50.1, -0.951, &leakage),
        (50.1, -0.95, &vec![]),
    ];
    for (kl, minus_cosine, wanted) in cases {
        assert_eq!(&kinds(&gaussian, kl, minus_cosine), wanted, "{kl} nats at {minus_cosine}");
    }
    for name in ["adassl, sparse", "adassl, none"] {
        assert_eq!(kinds(&method(&case(name)), 0.0, -1.0), [""; 0], "{name} has no nats");
    }
}

#[test]
fn no_warning_comes_while_beta_still_rises() {
    let gaussian = method(&case("adassl, gaussian"));
    let values = [("kl".into(), 0.0), ("minus_cosine".into(), 0.0)];
    assert!(gaussian.warnings(&values, 0.049).is_empty());
    assert_eq!(gaussian.warnings(&values, 0.05).len(), 1);
}

/// With such a cost r collapses.
#[test]
fn a_collapse_is_reported_once_per_run() {
    let case = case("adassl, gaussian");
    let mut config = case.config_with(&json!({"beta": 1e3}));
    config.train.learning_rate = 0.05;
    // The learning rate stays for as many steps as are taken.
    config.train.decay_steps = Some(1_000_000);
    let mut trainer = case.trainer_of(&config, 0);
    let (mut collapsed, mut reported) = (0, Vec::new());
    for _ in 0..60 {
        let report = trainer.step(&case.clips(6, 0), true).unwrap().unwrap();
        let kl = report.values.iter().find(|it| it.0 == "kl").unwrap().1;
        collapsed += usize::from(kl < 0.1);
        reported.extend(report.warnings.iter().map(|it| it.kind));
    }
    assert!(collapsed > 1, "it collapsed at {collapsed} steps");
    assert_eq!(reported, ["posterior collapse"]);
}

#[test]
fn a_batch_of_one_video_warns_that_it_has_no_negatives() {
    let name = "adassl, gaussian, contrastive";
    let case = CASES.iter().find(|it| it.name == name).unwrap();
    for (videos, warned) in [(vec![3; 4], true), (vec![0, 1, 1, 1], false)] {
        let clips = case.clips(4, 0).with_videos(videos);
        let report = case.trainer(0).step(&clips, true).unwrap().unwrap();
        let reported = report.warnings.iter().any(|it| it.kind == "no negatives");
        assert_eq!(reported, warned, "{:?}", report.warnings);
    }
}

#[test]
fn futures_are_unit_vectors_that_repeat() {
    const SAMPLES: usize = 3;
    for case in CASES {
        let (mut trainer, clips) = (case.trainer(0), case.clips(4, 0));
        trainer.step(&clips, false).unwrap();
        let Some(futures) = trainer.futures(&clips, SAMPLES) else {
            assert!(!case.name.contains("adassl"), "{} has no futures", case.name);
            continue;
        };
        assert!(case.name.contains("adassl"), "{} has futures", case.name);
        let (samples, expected) = (&futures.samples, &futures.expected);
        let lengths = [samples.len(), expected.len(), futures.actual.len()];
        assert_eq!(lengths, [4 * SAMPLES, 4, 4].map(|it| it * futures.dim), "{}", case.name);
        for row in [samples, expected, &futures.actual].iter().flat_map(|it| it.chunks(futures.dim))
        {
            let norm = row.iter().map(|it| it * it).sum::<f32>().sqrt();
            assert!((norm - 1.0).abs() < 1e-5, "{}: a norm of {norm}", case.name);
        }
        let again = trainer.futures(&clips, SAMPLES).unwrap();
        assert_eq!(samples, &again.samples, "{}", case.name);
        assert_random(case, samples, expected, futures.dim);
    }
}

/// Only a Gaussian r is random before y is known; then all samples differ.
fn assert_random(case: &Case, drawn: &[f32], expected: &[f32], dim: usize) {
    let is_gaussian = match case.config().method {
        MethodConfig::Adassl(it) => it.latent == Latent::Gaussian,
        MethodConfig::TdvAdassl(_) => true,
        other => panic!("{other:?}"),
    };
    let samples = drawn.len() / expected.len();
    for (clip, expected) in drawn.chunks(samples * dim).zip(expected.chunks(dim)) {
        let draws: Vec<_> = clip.chunks(dim).collect();
        assert!(draws.iter().all(|it| (*it == expected) != is_gaussian), "{}", case.name);
        assert_eq!(draws[0] != draws[1], is_gaussian, "{}", case.name);
    }
}
