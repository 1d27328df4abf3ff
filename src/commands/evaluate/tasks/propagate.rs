//! Propagation of the first frame's labels through a video, training-free.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use evaluation::dense::{
    InputSize, Labels, Mask, Propagation, Protocol, TokenGrid, VideoScore, davis, evaluate_video,
};
use pipeline::{FileFrames, Fit};
use rayon::prelude::*;
use tracing::info;

use super::super::encoders::Encoder;
use super::Scores;

/// Whose settings of label propagation.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum ProtocolName {
    /// DINO's.
    #[default]
    Dino,
    /// CropMAE's, which is videowalk's with other numbers.
    CropMae,
}

impl ProtocolName {
    /// The settings; with `short_side`, frames get that size and keep their shape.
    fn settings(self, short_side: Option<usize>) -> Protocol {
        let protocol = match self {
            Self::Dino => Protocol::dino(),
            Self::CropMae => Protocol::crop_mae(),
        };
        match short_side {
            Some(pixels) => {
                Protocol { input: InputSize::ShortSide { pixels, multiple: 1 }, ..protocol }
            }
            None => protocol,
        }
    }
}

/// J, F and their mean of each object of the videos in a folder, as the DAVIS toolkit has them.
///
/// # Errors
/// The folder has not the layout of DAVIS 2017, or a file cannot be read.
pub(crate) fn propagate(
    folder: &Path,
    name: ProtocolName,
    short_side: Option<usize>,
    encoders: &[Encoder],
) -> anyhow::Result<Vec<Scores>> {
    let protocol = name.settings(short_side);
    let query = folder.join("query");
    let videos = davis::videos(if query.is_dir() { &query } else { folder })?;
    info!("propagate: {} videos", videos.len());
    let mut scores = vec![Scores::default(); encoders.len()];
    for (encoder, scores) in encoders.iter().zip(&mut scores) {
        let Some(patch) = encoder.patch() else { continue };
        let scored = videos
            .par_iter()
            .map(|video| {
                let truth = video.read_masks()?;
                let first = truth.first().context("a video has frames")?;
                let size = protocol.input.fit(first.width, first.height, patch);
                ensure!(
                    size.0 >= patch && size.1 >= patch,
                    "frames of {} x {} pixels hold no patch of {patch}: raise --short-side",
                    size.0,
                    size.1
                );
                let tokens = |path: &PathBuf| tokens(encoder, path, size);
                let predicted = masks(&video.frames, tokens, first, patch, &protocol)?;
                Ok(evaluate_video(&truth, &predicted))
            })
            .collect::<anyhow::Result<Vec<VideoScore>>>()?;
        let objects: Vec<_> = scored.iter().flat_map(|it| &it.objects).collect();
        let (j, f): (Vec<f64>, Vec<f64>) = objects.iter().map(|it| (it.j.mean, it.f.mean)).unzip();
        let both = j.iter().zip(&f).map(|(j, f)| (j + f) / 2.0).collect();
        scores.metrics = vec![("J&F".into(), both), ("J".into(), j), ("F".into(), f)];
    }
    Ok(scores)
}

/// The propagated masks of a video. The first is the true one.
fn masks(
    frames: &[PathBuf],
    tokens: impl Fn(&PathBuf) -> anyhow::Result<TokenGrid>,
    first: &Mask,
    patch: usize,
    protocol: &Protocol,
) -> anyhow::Result<Vec<Mask>> {
    let labels = Labels::from_mask(first, patch, protocol);
    let mut propagation = Propagation::new(tokens(&frames[0])?, labels, protocol.clone());
    let mut masks = vec![first.clone()];
    for frame in &frames[1..] {
        let labels = propagation.next_frame(tokens(frame)?);
        masks.push(labels.to_mask(patch, first.width, first.height, protocol));
    }
    Ok(masks)
}

fn tokens(
    encoder: &Encoder,
    path: &Path,
    (width, height): (usize, usize),
) -> anyhow::Result<TokenGrid> {
    let size = [height, width];
    let frames = FileFrames { size, fit: Fit::Squash, every: 1.0, limit: 1 };
    let frame = &frames.read(path)?[0];
    let patches = encoder.encode_patches(&frame.pixels, size).context("the encoder has patches")?;
    let [rows, columns] = patches.grid;
    Ok(TokenGrid::new(rows, columns, &patches.tokens))
}
