//! Classifiers and R² against scikit-learn (`tests/python/classify_cases.py`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use evaluation::Vectors;
use evaluation::classify::{Knn, Labelled, Ridge, knn};
use evaluation::factors::{self, Measured};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    train: Vec<Vec<f32>>,
    train_labels: Vec<usize>,
    test: Vec<Vec<f32>>,
    test_labels: Vec<usize>,
    /// Predicted classes by `k`.
    knn: BTreeMap<usize, Vec<usize>>,
    penalty: f64,
    ridge_scores: Vec<Vec<f64>>,
    targets: Vec<Vec<f64>>,
    regression: Vec<Vec<f64>>,
    r2: R2,
}

#[derive(Deserialize)]
struct R2 {
    known: Vec<Vec<f64>>,
    truth: Vec<Vec<f64>>,
    /// With each of the penalties.
    scores: Vec<f64>,
}

fn case() -> Case {
    serde_json::from_str(include_str!("data/classify.json")).unwrap()
}

fn vectors(rows: &[Vec<f32>]) -> Vectors {
    Vectors::new(rows[0].len(), rows.concat())
}

fn labelled(rows: &[Vec<f32>], labels: &[usize]) -> Labelled {
    Labelled { vectors: vectors(rows), items: (0..rows.len()).collect(), classes: labels.to_vec() }
}

fn assert_close(got: &[Vec<f64>], wanted: &[Vec<f64>]) {
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().flatten().zip(wanted.iter().flatten()) {
        assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
    }
}

#[test]
fn neighbours_vote_as_in_scikit_learn() {
    let case = case();
    let train = labelled(&case.train, &case.train_labels);
    for (k, predicted) in &case.knn {
        // What scikit-learn predicts is found for every row.
        let settings = Knn { k: *k, temperature: 0.07 };
        let hits = knn(&train, &labelled(&case.test, predicted), settings);
        assert!(hits.items().iter().all(|it| *it == 1.0), "k = {k}: {:?}", hits.items());
        let wanted = predicted.iter().zip(&case.test_labels).filter(|(a, b)| a == b).count() as f64;
        let hits = knn(&train, &labelled(&case.test, &case.test_labels), settings);
        assert!((hits.accuracy().value * predicted.len() as f64 - wanted).abs() < 1e-9);
    }
}

#[test]
fn ridge_has_the_scores_of_scikit_learns_classifier() {
    let case = case();
    let one_against_all =
        |label: &usize| (0..4).map(|it| if it == *label { 1.0 } else { -1.0 }).collect();
    let targets: Vec<Vec<f64>> = case.train_labels.iter().map(one_against_all).collect();
    let fit = Ridge::fit(&vectors(&case.train), &targets, case.penalty);
    assert_close(&fit.predict(&vectors(&case.test)), &case.ridge_scores);
}

#[test]
fn ridge_has_the_predictions_of_scikit_learns_regression() {
    let case = case();
    let fit = Ridge::fit(&vectors(&case.train), &case.targets, case.penalty);
    assert_close(&fit.predict(&vectors(&case.test)), &case.regression);
}

#[test]
fn r2_is_scikit_learns_for_one_of_the_penalties() {
    let case = case();
    let measured = |rows: &[Vec<f32>], factors: Vec<Vec<f64>>| Measured {
        vectors: vectors(rows),
        items: (0..rows.len()).map(|it| it / 2).collect(),
        factors,
    };
    let train = measured(&case.train, case.r2.known);
    let test = measured(&case.test, case.r2.truth);
    let items = factors::r2(&train, &test).remove(0).unwrap();
    assert_eq!(items.len(), 35);
    let got = items.iter().sum::<f64>() / 35.0;
    let near = |wanted: &&f64| (got - **wanted).abs() < 1e-6;
    let chosen = case.r2.scores.iter().find(near);
    let best = case.r2.scores.iter().fold(f64::MIN, |a, b| a.max(*b));
    assert!(chosen.is_some_and(|it| best - it < 0.02), "{got} is none of {:?}", case.r2.scores);
}
