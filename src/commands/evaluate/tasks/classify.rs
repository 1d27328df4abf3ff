//! Classification of images and videos.

use std::collections::BTreeMap;

use evaluation::classify::{self, Knn, Labelled};

use super::super::Task;
use super::super::data::DataSet;
use super::super::vectors::ItemVectors;
use super::Scores;

/// Classification of the test items by what is known of the training items.
pub(crate) fn classify(task: Task, k: usize, data: &DataSet, all: Vec<ItemVectors>) -> Vec<Scores> {
    let labelled = |vectors: &ItemVectors, is_test: bool| {
        let (vectors, items) = vectors.filter(|it| data.items[it].is_test == is_test);
        // Items are numbered within their part.
        let mut numbers = BTreeMap::new();
        for (idx, item) in data.items.iter().enumerate().filter(|it| it.1.is_test == is_test) {
            numbers.insert(idx, (numbers.len(), item.class));
        }
        let items = items.iter().map(|it| numbers[it].0).collect();
        Labelled { vectors, items, classes: numbers.values().map(|it| it.1).collect() }
    };
    let score = |vectors: ItemVectors| {
        let (train, test) = (labelled(&vectors, false), labelled(&vectors, true));
        let hits = match task {
            Task::Linear => classify::linear(&train, &test),
            _ => classify::knn(&train, &test, Knn { k, ..Knn::default() }),
        };
        Scores { metrics: vec![("accuracy".into(), hits.items().to_vec())] }
    };
    all.into_iter().map(score).collect()
}
