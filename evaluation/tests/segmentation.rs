//! J and F against the toolkit of DAVIS 2017; `tests/python/davis_cases.py` made the cases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use evaluation::dense::{
    DatasetScore, Mask, Statistics, boundary_accuracy, evaluate_video, region_similarity,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    videos: Vec<Video>,
    dataset: Dataset,
}

#[derive(Deserialize)]
struct Video {
    name: String,
    height: usize,
    width: usize,
    truth: Vec<Vec<usize>>,
    predicted: Vec<Vec<usize>>,
    j_frames: Vec<Vec<f64>>,
    f_frames: Vec<Vec<f64>>,
    j: Vec<[f64; 3]>,
    f: Vec<[f64; 3]>,
}

#[derive(Deserialize)]
struct Dataset {
    j: [f64; 3],
    f: [f64; 3],
    j_and_f: f64,
}

impl Video {
    fn masks(&self, runs: &[Vec<usize>]) -> Vec<Mask> {
        let indices = |it: &Vec<usize>| {
            it.chunks(2).flat_map(|it| std::iter::repeat_n(it[0] as u8, it[1])).collect()
        };
        runs.iter().map(|it| Mask::new(self.width, self.height, indices(it))).collect()
    }
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("data/davis.json")).unwrap()
}

fn assert_near(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() < 1e-12, "{what}: {ours}, and the toolkit says {theirs}");
}

fn assert_statistics(ours: Statistics, theirs: [f64; 3], what: &str) {
    for (ours, theirs) in [ours.mean, ours.recall, ours.decay].into_iter().zip(theirs) {
        assert_near(ours, theirs, what);
    }
}

#[test]
fn every_frame_has_the_toolkits_j_and_f() {
    for video in cases().videos {
        let (truth, predicted) = (video.masks(&video.truth), video.masks(&video.predicted));
        for (object, (j, f)) in video.j_frames.iter().zip(&video.f_frames).enumerate() {
            for (frame, (&j, &f)) in j.iter().zip(f).enumerate() {
                // The first frame is not scored.
                let (truth, predicted) = (&truth[frame + 1], &predicted[frame + 1]);
                let what = format!("{} {object} {frame}", video.name);
                let object = object as u8 + 1;
                assert_near(region_similarity(truth, predicted, object), j, &what);
                assert_near(boundary_accuracy(truth, predicted, object), f, &what);
            }
        }
    }
}

#[test]
fn videos_and_the_dataset_have_the_toolkits_statistics() {
    let cases = cases();
    let mut scores = Vec::new();
    for video in &cases.videos {
        let score = evaluate_video(&video.masks(&video.truth), &video.masks(&video.predicted));
        assert_eq!(score.objects.len(), video.j.len(), "{}", video.name);
        for ((ours, &j), &f) in score.objects.iter().zip(&video.j).zip(&video.f) {
            assert_statistics(ours.j, j, &video.name);
            assert_statistics(ours.f, f, &video.name);
        }
        scores.push(score);
    }
    let dataset = DatasetScore::new(&scores).unwrap();
    assert_statistics(dataset.j, cases.dataset.j, "J");
    assert_statistics(dataset.f, cases.dataset.f, "F");
    assert_near(dataset.j_and_f, cases.dataset.j_and_f, "J&F");
}

fn square(side: usize, object: usize) -> Mask {
    let inside = |it: usize| it % side < object && it / side < object;
    Mask::new(side, side, (0..side * side).map(|it| u8::from(inside(it))).collect())
}

#[test]
fn long_videos_decay_by_their_own_quarters() {
    // Right in the first 300 of 402 frames: the toolkit's eight bits would wrap here.
    let truth = vec![square(9, 5); 402];
    let mut predicted = truth.clone();
    predicted[301..].fill(square(9, 0));
    let score = evaluate_video(&truth, &predicted);
    // The last quarter is the last 101 of 400 scored frames, and begins with one that is right.
    assert_near(score.objects[0].j.decay, 1.0 - 1.0 / 101.0, "decay");
    assert_near(score.objects[0].j.mean, 0.75, "mean");
}

#[test]
fn nothing_against_nothing_is_right_and_against_something_wrong() {
    let (none, some) = (square(9, 0), square(9, 5));
    for measure in [region_similarity, boundary_accuracy] {
        assert_eq!(measure(&none, &none, 1), 1.0);
        assert_eq!(measure(&some, &some, 1), 1.0);
        assert_eq!(measure(&none, &some, 1), 0.0);
        assert_eq!(measure(&some, &none, 1), 0.0);
    }
}

#[test]
fn videos_without_objects_have_no_score() {
    let empty = vec![square(9, 0); 3];
    assert_eq!(DatasetScore::new(&[evaluate_video(&empty, &empty)]), None);
}

#[test]
#[should_panic(expected = "object")]
fn an_object_that_the_first_mask_lacks_is_refused() {
    let mut predicted = vec![square(9, 3); 3];
    predicted[1].indices[0] = 2;
    evaluate_video(&vec![square(9, 3); 3], &predicted);
}
