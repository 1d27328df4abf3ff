use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{EncoderConfig, Error, MethodConfig, Precision, Result, TrainConfig};

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
    /// Whose tokens.
    pub encoder: EncoderChoice,
    /// How tokens become one vector.
    pub pool: Pool,
}

/// Which of a method's frame encoders.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderChoice {
    /// The moving average.
    #[default]
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
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// The `[CLS]` token.
    #[default]
    Cls,
    /// The mean of the patch tokens.
    Patches,
}

/// Neither zero, negative, infinite nor NaN.
pub(crate) fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

impl Config {
    /// Checks the table for frames of `[height, width]` on `device`.
    ///
    /// # Errors
    /// A value that cannot be used, with its key.
    pub fn validate(&self, image: [usize; 2], device: &Device) -> Result<()> {
        self.encoder.shape(image, self.precision)?;
        self.method.validate()?;
        self.train.validate()?;
        if self.precision == Precision::Bfloat16
            && !device.supports_dtype(burn::tensor::DType::BF16)
        {
            let message = "this device has no bfloat16; use \"float32\"".into();
            return Err(Error::Config { key: "model.precision".into(), message });
        }
        Ok(())
    }
}
