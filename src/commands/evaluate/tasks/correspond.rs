//! Correspondence of the patches of frames with those of warped copies.

use std::sync::Arc;

use anyhow::ensure;
use evaluation::correspond::{self, Found, Warp};
use pipeline::FileFrames;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tracing::warn;

use super::super::data::DataSet;
use super::super::encoders::Encoder;
use super::Scores;

/// Looks for the patches of every item's frames in warped copies. The warps of an item are
/// the same for all encoders.
pub(crate) fn correspond(
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
                ("within a patch".into(), of(|it| it.within)),
                ("beyond position".into(), of(|it| it.within - it.within_by_position)),
                ("error in patches".into(), of(|it| it.error)),
            ],
        }
    };
    Ok((0..encoders.len()).map(scores).collect())
}

/// The mean over the frames of an item. None for a network without patches.
fn of_item(encoder: &Encoder, frames: &[Arc<[u8]>], size: [usize; 2], seed: u64) -> Option<Found> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::new();
    for frame in frames {
        let warp = Warp::draw(&mut random);
        let [height, width] = size;
        let warped = warp.apply(frame, [width, height]).into();
        let [image, warped] = [frame, &warped].map(|it| encoder.encode_patches(it, size));
        all.extend(correspond::correspond(&image?, &warped?, &warp));
    }
    let mean = |number: fn(&Found) -> f64| all.iter().map(number).sum::<f64>() / all.len() as f64;
    (!all.is_empty()).then(|| Found {
        within: mean(|it| it.within),
        error: mean(|it| it.error),
        within_by_position: mean(|it| it.within_by_position),
    })
}
