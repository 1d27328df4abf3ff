use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{EncoderConfig, EncoderShape, Error, MethodConfig, Precision, Result, TrainConfig};

/// The `[model]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The frame encoder.
    pub encoder: EncoderConfig,
    /// The method, by `name`, and its hyper-parameters.
    pub method: MethodConfig,
    /// The optimizer and its schedule.
    pub train: TrainConfig,
    /// Which embeddings are stored.
    #[serde(default)]
    pub embed: EmbedConfig,
    /// The number format of matrix products.
    #[serde(default)]
    pub precision: Precision,
}

/// The `[model.embed]` table.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedConfig {
    /// Whose tokens; by default the teacher's, of a method without one the student's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderChoice>,
    /// How tokens become one vector; by default as the method itself pools them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// Which of a method's frame encoders.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderChoice {
    /// The moving average.
    Teacher,
    /// The one that is trained.
    Student,
}

impl EncoderChoice {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Student => "student",
        }
    }
}

/// How the tokens of a frame become one embedding.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// The `[CLS]` token; of a convolutional encoder, the mean of its last feature map.
    Cls,
    /// The mean of the patch tokens.
    Patches,
}

/// Neither zero, negative, infinite nor NaN.
pub(crate) fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// What a clip of the pipeline is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Input {
    /// Height and width of a frame, pixels.
    pub image: [usize; 2],
    /// Frames in a clip.
    pub frames: usize,
    /// Clips in a batch.
    pub clips: usize,
    /// Whether the camera's motion is known.
    pub motion: bool,
    /// Columns of telemetry, without the one that says whether there is any.
    pub telemetry: usize,
}

impl Input {
    /// Pairs of clips of `frames` frames of `image` = `[height, width]`, nothing beside them.
    pub fn frames(image: [usize; 2], frames: usize) -> Self {
        Self { image, frames, clips: 2, motion: false, telemetry: 0 }
    }
}

/// Clips in the smallest of `parts` runs of equal length, of which the last may be shorter.
fn smallest_part(clips: usize, parts: usize) -> usize {
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
    /// They cannot be built.
    pub fn shape(&self, input: Input) -> Result<EncoderShape> {
        self.encoder.shape(self.method.view_size(input.image), self.precision)
    }

    /// Checks the table for clips as `input` says, on `device`.
    ///
    /// # Errors
    /// A value that cannot be used, with its key.
    pub fn validate(&self, input: Input, device: &Device) -> Result<()> {
        let shape = self.shape(input)?;
        self.method.validate(&shape, &input)?;
        self.encoder.weights(&shape)?;
        // Embeddings are of whole frames, whatever a method looks at.
        self.encoder.shape(input.image, self.precision)?;
        if self.embed.encoder == Some(EncoderChoice::Teacher) && !self.method.has_teacher() {
            let message = "this method has no teacher; use \"student\"".into();
            return Err(Error::Config { key: "model.embed.encoder".into(), message });
        }
        self.train.validate()?;
        if self.method.clips_interact() && smallest_part(input.clips, self.train.accumulate) < 2 {
            let message = "clips are compared with each other in this method: every micro-batch \
                           (pipeline.batch.clips by model.train.accumulate) needs at least 2"
                .into();
            return Err(Error::Config { key: "model.method.name".into(), message });
        }
        if self.precision == Precision::Bfloat16
            && !device.supports_dtype(burn::tensor::DType::BF16)
        {
            let message = "this device has no bfloat16; use \"float32\"".into();
            return Err(Error::Config { key: "model.precision".into(), message });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_part_is_the_last() {
        for (clips, parts, wanted) in [(7, 3, 1), (8, 3, 2), (5, 2, 2), (4, 4, 1), (1, 1, 1)] {
            assert_eq!(smallest_part(clips, parts), wanted, "{clips} in {parts}");
        }
    }
}
