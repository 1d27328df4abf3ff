//! Embeds frames with a trained frame encoder, without its method.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::export::safetensors;
use crate::{Clips, Config, Error, FrameEncoder, Init, Input, NormMode, Pool, Result};

/// Which tokens of a frame are stored, and how.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// The `[CLS]` token, `[d]`; for a convolutional encoder, the mean of its last feature map.
    Cls,
    /// The mean of the patch tokens, `[d]`.
    Mean,
    /// All patch tokens, `[patches · d]`, in row-major order.
    Patches,
}

impl Tokens {
    /// The name in options and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Patches => "patches",
        }
    }
}

/// A frame encoder by itself, which makes vectors of frames.
#[derive(Clone, Debug)]
pub struct Embedder {
    encoder: FrameEncoder,
    pool: Pool,
}

impl Embedder {
    pub(crate) fn new(encoder: FrameEncoder, pool: Pool) -> Self {
        Self { encoder, pool }
    }

    /// Builds the encoder of `config` with the weights in `path`, an `encoder.safetensors`.
    ///
    /// # Errors
    /// The config cannot be used, or the file cannot be read or is of another encoder.
    pub fn load(config: &Config, input: Input, path: &Path, device: &Device) -> Result<Self> {
        let Self { encoder, pool } = Self::untrained(config, input, 0, device)?;
        Ok(Self { encoder: safetensors::load(encoder, path)?, pool })
    }

    /// Builds the encoder of `config` with the random weights that a run with `seed` begins with.
    ///
    /// # Errors
    /// The config cannot be used.
    pub fn untrained(config: &Config, input: Input, seed: u64, device: &Device) -> Result<Self> {
        let encoder = config.shape(input)?.init(&mut Init::new(seed, device));
        Ok(Self { encoder, pool: config.pool() })
    }

    /// Frames that become one set of tokens: 1, or the window of 3D convolutions.
    pub fn window(&self) -> usize {
        self.encoder.window()
    }

    /// Side of a patch in pixels. None for an encoder without patches.
    pub fn patch(&self) -> Option<usize> {
        match &self.encoder {
            FrameEncoder::Vit(vit) => Some(vit.patch()),
            _ => None,
        }
    }

    /// Embeds the first frame of every clip (3D convolutions: the first window), pooled as in
    /// training.
    pub fn pooled(&self, clips: &Clips) -> VectorBatch {
        let images = clips.window(0, self.encoder.window());
        let tokens = self.encoder.forward(images, NormMode::Evaluate);
        let kind = if self.pool == Pool::Cls { Tokens::Cls } else { Tokens::Mean };
        VectorBatch::of(rows(&tokens, kind))
    }

    /// The patch tokens of the first frame of every clip, each a row, `[n * rows * columns, d]`,
    /// and the grid `[rows, columns]`. None for an encoder without patches.
    pub fn patches(&self, clips: &Clips) -> Option<(VectorBatch, [usize; 2])> {
        let FrameEncoder::Vit(vit) = &self.encoder else { return None };
        let images = clips.window(0, 1);
        let [_, _, height, width] = images.dims();
        let grid = [height, width].map(|it| it / vit.patch());
        let tokens = vit.forward(images);
        let [n, count, dim] = tokens.dims();
        let patches = tokens.narrow(1, 1, count - 1).reshape([n * (count - 1), dim]);
        Some((VectorBatch::of(patches), grid))
    }

    /// Number of layers whose tokens can be embedded; 1 for convolutional encoders.
    pub fn layers(&self) -> usize {
        match &self.encoder {
            FrameEncoder::Vit(it) => it.depth(),
            _ => 1,
        }
    }

    /// Embeds the first frame of every clip (3D convolutions: the first window). Gives one batch of
    /// vectors for each of `layers`, counted from 1, and within a layer for each of `kinds`. All
    /// layers go through the final norm, as in DINOv2.
    ///
    /// # Errors
    /// The encoder has no such layer.
    pub fn embed(
        &self,
        clips: &Clips,
        layers: &[usize],
        kinds: &[Tokens],
    ) -> Result<Vec<VectorBatch>> {
        let images = clips.window(0, self.encoder.window());
        let tokens = self.tokens(images, layers)?;
        let each = tokens.into_iter().flat_map(|tokens| {
            let rows = kinds.iter().map(move |kind| rows(&tokens, *kind));
            rows.collect::<Vec<_>>()
        });
        Ok(each.map(VectorBatch::of).collect())
    }

    fn tokens(&self, images: Tensor<4>, layers: &[usize]) -> Result<Vec<Tensor<3>>> {
        let depth = self.layers();
        if let Some(wrong) = layers.iter().find(|it| !(1..=depth).contains(*it)) {
            let message = format!("there is no layer {wrong}: choose from 1 to {depth}, the last");
            return Err(Error::Config { key: "layers".into(), message });
        }
        Ok(match &self.encoder {
            FrameEncoder::Vit(it) => it.layers(images, layers),
            other => {
                layers.iter().map(|_| other.forward(images.clone(), NormMode::Evaluate)).collect()
            }
        })
    }
}

fn rows(tokens: &Tensor<3>, kind: Tokens) -> Tensor<2> {
    let [n, count, dim] = tokens.dims();
    let patches = || tokens.clone().narrow(1, 1, count - 1);
    match kind {
        Tokens::Cls => tokens.clone().narrow(1, 0, 1).reshape([n, dim]),
        Tokens::Mean => patches().mean_dim(1).reshape([n, dim]),
        Tokens::Patches => patches().reshape([n, (count - 1) * dim]),
    }
}

/// One vector for each clip of a batch.
#[derive(Clone, Debug)]
pub struct VectorBatch {
    /// Width of a vector.
    pub dim: usize,
    /// `[n, dim]` in row-major order.
    pub values: Vec<f32>,
}

impl VectorBatch {
    pub(crate) fn of(rows: Tensor<2>) -> Self {
        let dim = rows.dims()[1];
        Self { dim, values: rows.into_data().try_to_vec().expect("float32 rows") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MethodConfig, TrainConfig};

    fn config() -> Config {
        let encoder = r#"{"patch": 8, "dim": 16, "depth": 3, "heads": 2}"#;
        Config {
            encoder: serde_json::from_str(encoder).unwrap(),
            method: MethodConfig::Simclr(serde_json::from_str("{}").unwrap()),
            train: TrainConfig { steps: 1, ..Default::default() },
            embed: Default::default(),
            precision: Default::default(),
        }
    }

    #[test]
    fn the_last_layer_gives_the_trainers_embeddings_and_earlier_layers_differ() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let input = Input::frames([16, 16], 2);
        let trainer = crate::trainer(&config(), input, 3, &device).unwrap();
        trainer.save(folder.path()).unwrap();
        let path = folder.path().join("encoder.safetensors");
        let embedder = Embedder::load(&config(), input, &path, &device).unwrap();
        let pixels = (0..3 * 2 * 16 * 16 * 3).map(|it| (it * it % 251) as u8).collect();
        let clips = Clips::upload(pixels, [3, 2, 16, 16, 3], &device);
        let kinds = [Tokens::Cls, Tokens::Mean, Tokens::Patches];
        let all = embedder.embed(&clips, &[1, 3], &kinds).unwrap();
        assert_eq!(all.iter().map(|it| it.dim).collect::<Vec<_>>(), [16, 16, 64, 16, 16, 64]);
        assert_eq!(all[3].values, trainer.embed(&clips).frames.values);
        assert_eq!(all[3].values, trainer.embedder().pooled(&clips).values);
        let (patches, grid) = embedder.patches(&clips).unwrap();
        assert_eq!((patches.values, grid), (all[5].values.clone(), [2, 2]));
        let untrained = Embedder::untrained(&config(), input, 3, &device).unwrap();
        assert_eq!(untrained.pooled(&clips).values, all[3].values, "no step was taken");
        let another = Embedder::untrained(&config(), input, 4, &device).unwrap();
        assert_ne!(another.pooled(&clips).values, all[3].values);
        assert_ne!(all[0].values, all[3].values);
        // `Mean` is the mean of the vectors in `Patches`.
        let mean = |row: usize, column: usize| {
            (0..4).map(|it| all[5].values[row * 64 + it * 16 + column]).sum::<f32>() / 4.0
        };
        for (row, column) in [(0, 0), (1, 7), (2, 15)] {
            assert!((mean(row, column) - all[4].values[row * 16 + column]).abs() < 1e-5);
        }
        let message = embedder.embed(&clips, &[4], &kinds).unwrap_err().to_string();
        assert!(message.contains("no layer 4") && message.contains("1 to 3"), "{message}");
    }
}
