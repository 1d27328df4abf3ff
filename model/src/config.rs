use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::export::import;
use crate::{EncoderConfig, EncoderShape, Error, MethodConfig, Precision, Result, TrainConfig};

/// The `[model]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ModelConfig")]
pub struct Config {
    /// The frame encoder.
    pub encoder: EncoderConfig,
    /// The method, chosen by `name`, and its hyper-parameters.
    pub method: MethodConfig,
    /// The optimizer and its learning-rate schedule.
    pub train: TrainConfig,
    /// Which embeddings of the frame encoder are stored.
    #[serde(default)]
    pub embed: EmbedConfig,
    /// Number format of the matrix products in transformer blocks: `"float32"` (default) or
    /// `"bfloat16"`.
    #[serde(default)]
    pub precision: Precision,
}

/// The `[model.embed]` table.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedConfig {
    /// `"teacher"` or `"student"`: the frame encoder that embeds. Default: the teacher, or the
    /// student where the method has no teacher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderChoice>,
    /// `"cls"` or `"mean"`: how the tokens of a frame become one vector. Default: the pooling that
    /// the method's own loss uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// Which of a method's frame encoders.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderChoice {
    /// The moving average (EMA) of the trained encoder.
    Teacher,
    /// The encoder that the optimizer trains.
    Student,
}

impl EncoderChoice {
    /// The name in configs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Student => "student",
        }
    }
}

/// How the tokens of a frame become one embedding.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// The `[CLS]` token; for a convolutional encoder, the mean of its last feature map.
    Cls,
    /// The mean of the patch tokens.
    Mean,
}

/// What the pipeline delivers: the size of its batches, and which extra data they carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Input {
    /// Height and width of a frame in pixels.
    pub image: [usize; 2],
    /// Frames in a clip.
    pub frames: usize,
    /// Clips in a batch.
    pub clips: usize,
    /// Whether clips carry the camera motion.
    pub motion: bool,
    /// Number of telemetry columns, without the column that marks missing values.
    pub telemetry: usize,
}

impl Input {
    /// Batches of two clips of `frames` frames of `image` = `[height, width]`, without camera motion
    /// or telemetry.
    pub fn frames(image: [usize; 2], frames: usize) -> Self {
        Self { image, frames, clips: 2, motion: false, telemetry: 0 }
    }
}

/// Clips in the smallest micro-batch when `clips` are split into `parts`: the last may be shorter.
fn smallest_micro_batch(clips: usize, parts: usize) -> usize {
    let length = clips.div_ceil(parts.max(1)).max(1);
    match clips % length {
        0 => length.min(clips),
        rest => rest,
    }
}

impl Config {
    /// The dimensions of the frame encoder.
    ///
    /// # Errors
    /// A dimension is missing or does not fit the frames; see [`EncoderConfig::shape`].
    pub fn shape(&self, input: Input) -> Result<EncoderShape> {
        self.encoder.shape(self.method.view_size(input.image), self.precision)
    }

    /// How the tokens of a frame become one vector: as the table says, or as the method's loss has
    /// it.
    pub fn pool(&self) -> Pool {
        self.embed.pool.unwrap_or_else(|| self.method.pool())
    }

    /// Checks every value of the table against `input` and `device`.
    ///
    /// # Errors
    /// The first value that cannot be used, with its key.
    pub fn validate(&self, input: Input, device: &Device) -> Result<()> {
        let shape = self.shape(input)?;
        self.method.validate(&shape, &input)?;
        import::weights(&self.encoder, &shape)?;
        // Embeddings are computed from whole frames, also when the method trains on crops.
        self.encoder.shape(input.image, self.precision)?;
        if self.embed.encoder == Some(EncoderChoice::Teacher) && !self.method.has_teacher() {
            let message = "this method has no teacher; write \"student\"".into();
            return Err(Error::Config { key: "model.embed.encoder".into(), message });
        }
        self.train.validate()?;
        if self.method.clips_interact()
            && smallest_micro_batch(input.clips, self.train.accumulate) < 2
        {
            let message = "this method compares clips with each other, so every micro-batch needs \
                           at least 2; raise pipeline.batch.clips or lower model.train.accumulate"
                .into();
            return Err(Error::Config { key: "model.method.name".into(), message });
        }
        if self.precision == Precision::Bfloat16
            && !device.supports_dtype(burn::tensor::DType::BF16)
        {
            let message = "this device does not support bfloat16; write \"float32\"".into();
            return Err(Error::Config { key: "model.precision".into(), message });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_micro_batch_is_the_smallest() {
        for (clips, parts, wanted) in [(7, 3, 1), (8, 3, 2), (5, 2, 2), (4, 4, 1), (1, 1, 1)] {
            assert_eq!(smallest_micro_batch(clips, parts), wanted, "{clips} in {parts}");
        }
    }
}
