//! Classifiers on frozen vectors. An item is an image or a video, and the frames of a video vote.

mod knn;
mod ridge;

use crate::Vectors;
use crate::interval::{self, Estimate};

pub use knn::{Knn, knn};
pub(crate) use ridge::fit_with_best_penalty;
pub use ridge::{Ridge, linear};

/// Vectors of frames with what is known of them.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// One row per frame.
    pub vectors: Vectors,
    /// The item of each row, from 0.
    pub items: Vec<usize>,
    /// The class of each item, from 0.
    pub classes: Vec<usize>,
}

impl Labelled {
    fn check(&self) {
        assert_eq!(self.vectors.len(), self.items.len(), "one item for each row");
        assert!(self.items.iter().all(|it| *it < self.classes.len()), "one class for each item");
    }

    /// One more than the greatest class.
    fn class_count(&self) -> usize {
        self.classes.iter().max().map_or(0, |it| it + 1)
    }

    /// The class of a row.
    fn class(&self, row: usize) -> usize {
        self.classes[self.items[row]]
    }
}

/// For each item that was tested, whether its class was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hits(Vec<f64>);

impl Hits {
    /// Of each item the class with the greatest sum of its rows' `scores`; of equal ones the first.
    /// Items without a row are missed.
    fn by_vote(test: &Labelled, scores: &[Vec<f64>]) -> Self {
        let classes = scores.first().map_or(0, Vec::len);
        let mut votes = vec![vec![0.0; classes]; test.classes.len()];
        for (row, scores) in scores.iter().enumerate() {
            let votes = &mut votes[test.items[row]];
            votes.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
        }
        let mut seen = vec![false; test.classes.len()];
        test.items.iter().for_each(|item| seen[*item] = true);
        let hit = |item: usize| seen[item] && first_maximum(&votes[item]) == test.classes[item];
        Self((0..test.classes.len()).map(|item| f64::from(u8::from(hit(item)))).collect())
    }

    /// The share of items whose class was found.
    pub fn accuracy(&self) -> Estimate {
        interval::mean(&self.0, 0)
    }

    /// One number per item: 1 for a hit and 0 for a miss.
    pub fn items(&self) -> &[f64] {
        &self.0
    }
}

fn first_maximum(scores: &[f64]) -> usize {
    let best = scores.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |it| it.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_vote_for_the_class_of_their_video() {
        let test = Labelled {
            vectors: Vectors::new(1, vec![0.0; 4]),
            items: vec![0, 0, 1, 1],
            classes: vec![0, 1, 0],
        };
        let scores = [[0.6, 0.4], [0.2, 0.5], [0.5, 0.5], [0.5, 0.4]].map(Vec::from);
        // The first video has 0.8 against 0.9, the second 1.0 against 0.9; the third has no frame.
        assert_eq!(Hits::by_vote(&test, &scores).items(), [0.0, 0.0, 0.0]);
        let test = Labelled { classes: vec![1, 0, 0], ..test };
        let hits = Hits::by_vote(&test, &scores);
        assert_eq!(hits.items(), [1.0, 1.0, 0.0]);
        assert!((hits.accuracy().value - 2.0 / 3.0).abs() < 1e-12);
    }
}
