//! The tasks: from vectors to one number per item.

use std::collections::BTreeMap;

use anyhow::ensure;
use evaluation::Vectors;
use evaluation::classify::{self, Knn, Labelled};
use evaluation::correspond::{self, Found, Patches, Warp};
use pipeline::FileFrames;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tracing::warn;

use super::Task;
use super::data::DataSet;
use super::encoders::Encoder;
use super::vectors::ItemVectors;

/// Numbers of an encoder: for each metric one per test item.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    pub(super) metrics: Vec<(&'static str, Vec<f64>)>,
}

/// Classification of the test items by what is known of the training items.
pub(super) fn classify(task: Task, k: usize, data: &DataSet, all: Vec<ItemVectors>) -> Vec<Scores> {
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
        Scores { metrics: vec![("accuracy", hits.items().to_vec())] }
    };
    all.into_iter().map(score).collect()
}

/// Correspondence of the patches of frames with those of warped copies. The warps of an item are
/// the same for all encoders.
pub(super) fn correspond(
    data: &DataSet,
    frames: &FileFrames,
    encoders: &[Encoder],
) -> anyhow::Result<Vec<Scores>> {
    let read: Vec<_> = data
        .items
        .par_iter()
        .enumerate()
        .map(|(idx, item)| match frames.read(&item.path) {
            Ok(read) => {
                let read = read.into_iter().map(|it| it.pixels).collect::<Vec<_>>();
                encoders.iter().map(|it| of_item(it, &read, frames.size, idx as u64)).collect()
            }
            Err(err) => {
                warn!("left out: {err}");
                Vec::new()
            }
        })
        .collect();
    let read: Vec<Vec<Option<Found>>> =
        read.into_iter().filter(|it: &Vec<_>| !it.is_empty()).collect();
    ensure!(!read.is_empty(), "no file of {} can be decoded, see above", data.folder.display());
    let scores = |encoder: usize| {
        let found: Vec<Found> = read.iter().filter_map(|it| it[encoder]).collect();
        let of = |number: fn(&Found) -> f64| found.iter().map(number).collect();
        Scores {
            metrics: vec![
                ("within a patch", of(|it| it.within)),
                ("beyond position", of(|it| it.within - it.within_by_position)),
                ("error in patches", of(|it| it.error)),
            ],
        }
    };
    Ok((0..encoders.len()).map(scores).collect())
}

/// The mean over the frames of an item. None for a network without patches.
fn of_item(
    encoder: &Encoder,
    frames: &[std::sync::Arc<[u8]>],
    size: [usize; 2],
    seed: u64,
) -> Option<Found> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::new();
    for frame in frames {
        let warp = Warp::draw(&mut random);
        let [height, width] = size;
        let warped = warp.apply(frame, [width, height]).into();
        let [image, warped] = [frame, &warped].map(|it| encoder.encode_patches(it, size));
        let [image, warped] = [image?, warped?]
            .map(|it| Patches { tokens: Vectors::new(it.rows.dim, it.rows.values), grid: it.grid });
        all.extend(correspond::correspond(&image, &warped, &warp));
    }
    let mean = |number: fn(&Found) -> f64| all.iter().map(number).sum::<f64>() / all.len() as f64;
    (!all.is_empty()).then(|| Found {
        within: mean(|it| it.within),
        error: mean(|it| it.error),
        within_by_position: mean(|it| it.within_by_position),
    })
}
