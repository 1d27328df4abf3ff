//! What makes vectors of frames: checkpoints, and the baselines that they must beat.

use std::sync::Arc;

use anyhow::Context as _;
use evaluation::Vectors;
use evaluation::correspond::Patches;
use model::{Clips, Device, DeviceChoice, Embedder, Input};

use crate::run::trained::Trained;

/// Added to the run's seed, for further untrained networks.
const UNTRAINED: [u64; 3] = [1, 2, 3];

/// Side of the images whose pixels are a vector.
const PIXELS: usize = 32;

/// Bins of a histogram per colour.
const BINS: usize = 8;

/// Side in pixels of the parts of a frame that the baselines without a network describe, where a
/// task needs patches and no checkpoint says how large they are.
const PATCH: usize = 8;

/// Something that makes a vector of a frame.
pub(super) struct Encoder {
    /// Its name in reports.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Tells it from every other one.
    pub(super) identity: String,
    network: Option<(Embedder, Device)>,
}

/// How reports treat an encoder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Trained,
    /// The network of the first checkpoint as its run began.
    Untrained,
    /// The same with another seed: reports show the mean of them.
    UntrainedAgain,
    Pixels,
    Histogram,
}

impl Encoder {
    /// The encoders of checkpoints, and with `baselines` what they are compared with.
    pub(super) fn all(trained: &[Trained], baselines: bool) -> anyhow::Result<Vec<Self>> {
        let device = DeviceChoice::default().open()?;
        let mut all = Vec::new();
        for checkpoint in trained {
            all.push(Self::trained(checkpoint, &device)?);
        }
        if baselines {
            let first = &trained[0];
            all.push(Self::untrained(first, Kind::Untrained, first.config.seed, &device)?);
            for seed in UNTRAINED {
                let seed = first.config.seed + seed;
                all.push(Self::untrained(first, Kind::UntrainedAgain, seed, &device)?);
            }
            for (kind, name) in
                [(Kind::Pixels, "raw pixels"), (Kind::Histogram, "colour histogram")]
            {
                let (name, identity) = (name.to_owned(), name.to_owned());
                all.push(Self { name, kind, identity, network: None });
            }
        }
        Ok(all)
    }

    fn trained(trained: &Trained, device: &Device) -> anyhow::Result<Self> {
        let path = trained.folder.join("encoder.safetensors");
        let (model, input) = network(trained);
        let embedder = Embedder::load(&model, input, &path, device)?;
        let digest = storage::disk::file_sha256(&path)?;
        let step = trained.step().map(|it| format!(", step {it}")).unwrap_or_default();
        Ok(Self {
            name: format!("{}{step}", trained.run_name()),
            kind: Kind::Trained,
            identity: format!("{digest} {:?}", model.pool()),
            network: Some((embedder, device.clone())),
        })
    }

    fn untrained(
        trained: &Trained,
        kind: Kind,
        seed: u64,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let (model, input) = network(trained);
        let embedder = Embedder::untrained(&model, input, seed, device)?;
        let encoder = toml::to_string(&model.encoder).context("the encoder's table")?;
        Ok(Self {
            name: format!("untrained, seed {seed}"),
            kind,
            identity: format!("untrained {seed} {encoder} {:?} {:?}", model.pool(), input.image),
            network: Some((embedder, device.clone())),
        })
    }

    /// One vector for each frame `[height, width, 3]`.
    pub(super) fn encode(&self, frames: &[Arc<[u8]>], size: [usize; 2]) -> Vectors {
        match &self.network {
            Some((embedder, device)) => {
                let clips = upload(frames, size, embedder.window(), device);
                let rows = embedder.pooled(&clips);
                Vectors::new(rows.dim, rows.values)
            }
            None => {
                let vector = |frame: &Arc<[u8]>| self.describe(frame, size, [PIXELS; 2]);
                let rows: Vec<_> = frames.iter().map(vector).collect();
                Vectors::new(rows[0].len(), rows.concat())
            }
        }
    }

    /// Side in pixels of the patches of [`Encoder::encode_patches`].
    pub(super) fn patch(&self) -> Option<usize> {
        self.network.as_ref().map_or(Some(PATCH), |(embedder, _)| embedder.patch())
    }

    /// Vectors of the patches of one frame. None for a network without patches.
    pub(super) fn encode_patches(&self, frame: &Arc<[u8]>, size: [usize; 2]) -> Option<Patches> {
        if let Some((embedder, device)) = &self.network {
            let clips = upload(std::slice::from_ref(frame), size, 1, device);
            let (rows, grid) = embedder.patches(&clips)?;
            return Some(Patches { tokens: Vectors::new(rows.dim, rows.values), grid });
        }
        let grid @ [rows, columns] = size.map(|it| it / PATCH);
        let mut values = Vec::new();
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |it| (row, it))) {
            let line = |y: usize| 3 * ((row * PATCH + y) * size[1] + column * PATCH);
            let lines = (0..PATCH).map(|y| &frame[line(y)..][..3 * PATCH]);
            let patch: Arc<[u8]> = lines.collect::<Vec<_>>().concat().into();
            values.push(self.describe(&patch, [PATCH; 2], [PATCH; 2]));
        }
        let tokens = Vectors::new(values[0].len(), values.concat());
        Some(Patches { tokens, grid })
    }

    fn describe(&self, frame: &[u8], size: [usize; 2], pixels: [usize; 2]) -> Vec<f32> {
        match self.kind {
            Kind::Histogram => histogram(frame),
            _ => shrunk(frame, size, pixels),
        }
    }
}

/// The model of a checkpoint without the weights that it started from, which may be elsewhere.
fn network(trained: &Trained) -> (model::Config, Input) {
    let mut model = trained.config.model.clone();
    model.encoder.weights = None;
    (model, Input::frames(trained.config.pipeline.size, 2))
}

/// Frames as clips of `window` equal frames.
fn upload(
    frames: &[Arc<[u8]>],
    [height, width]: [usize; 2],
    window: usize,
    device: &Device,
) -> Clips {
    let repeated = frames.iter().flat_map(|frame| std::iter::repeat_n(&frame[..], window));
    let pixels = repeated.collect::<Vec<_>>().concat();
    Clips::upload(pixels, [frames.len(), window, height, width, 3], device)
}

/// The means of the pixels in cells of a grid of at most `most` rows and columns, in -0.5 to 0.5.
fn shrunk(frame: &[u8], [height, width]: [usize; 2], most: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = [height.min(most[0]), width.min(most[1])];
    let mut sums = vec![0.0; 3 * rows * columns];
    let mut counts = vec![0.0; rows * columns];
    for (idx, pixel) in frame.chunks_exact(3).enumerate() {
        let cell = idx / width * rows / height * columns + idx % width * columns / width;
        counts[cell] += 1.0;
        for channel in 0..3 {
            sums[3 * cell + channel] += f32::from(pixel[channel]) / 255.0 - 0.5;
        }
    }
    sums.iter().enumerate().map(|(idx, sum)| sum / counts[idx / 3]).collect()
}

/// The share of the pixels in each of eight by eight by eight bins of red, green and blue. Square
/// roots of them have a cosine that is the Bhattacharyya coefficient.
fn histogram(frame: &[u8]) -> Vec<f32> {
    let mut counts = vec![0.0_f32; BINS * BINS * BINS];
    let bin = |value: u8| usize::from(value) * BINS / 256;
    for pixel in frame.chunks_exact(3) {
        counts[(bin(pixel[0]) * BINS + bin(pixel[1])) * BINS + bin(pixel[2])] += 1.0;
    }
    let all = (frame.len() / 3) as f32;
    counts.into_iter().map(|it| (it / all).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_the_means_of_their_pixels() {
        // Two rows of four pixels, whose red is 0, 255, 255, 255 and 0, 255, 0, 0.
        let reds = [0, 255, 255, 255, 0, 255, 0, 0];
        let frame: Vec<u8> = reds.iter().flat_map(|red| [*red, 0, 255]).collect();
        assert_eq!(shrunk(&frame, [2, 4], [1, 2]), [0.0, -0.5, 0.5, 0.0, -0.5, 0.5]);
        assert_eq!(shrunk(&frame, [2, 4], [32, 32]).len(), 24);
    }

    #[test]
    fn equal_colours_have_equal_histograms_wherever_they_are() {
        let [one, other] =
            [[10, 10, 10, 200, 0, 0], [200, 0, 0, 10, 10, 10]].map(|it| histogram(&it));
        assert_eq!(one, other);
        let length: f32 = one.iter().map(|it| it * it).sum();
        assert!((length - 1.0).abs() < 1e-6);
    }
}
