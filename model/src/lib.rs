//! Turns clips into losses and embeddings, and trains the networks in between.
//!
//! ```text
//! Clips ──▶ Method ──▶ Losses ──backward──▶ clip ──▶ AdamW ──▶ EMA teacher
//!             │
//!             └─ frame encoder ──▶ embeddings
//! ```
//!
//! No threads of its own, no channels, no clocks; the only files are weights. The caller owns the
//! loop: see [`trainer()`].

mod config;
mod validate;

mod clips;
mod device;

mod views;

mod encoder;
mod nn;

pub mod loss;
pub mod method;

mod train;

mod export;
pub mod metrics;

#[cfg(test)]
mod reference_cases;

pub use burn::tensor::Device;

pub use clips::{Clips, MEAN, STD};
pub use config::{Config, EmbedConfig, EncoderChoice, Input, Pool};
pub use device::{DeviceChoice, device_name};
pub use encoder::{
    Arch, Conv3dEncoder, Conv3dShape, Embedder, EncoderConfig, EncoderShape, FrameEncoder,
    Precision, ResNet18, ResNetShape, Size, Tokens, Vectors, Vit, VitShape,
};
pub use export::{Layout, export, load, save, timm_config};
pub use method::{Futures, MethodConfig, MotionEncoder, Warning};
pub use metrics::rankme;
pub use nn::{Head, HeadConfig, Init, Mode, Widths};
pub use train::{Embeddings, NotFinite, Report, TrainConfig, Trainer, trainer};
pub use views::actions;
pub use views::augment::AugmentConfig;

/// Everything that can go wrong between a batch and its loss.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value in the `[model]` table cannot be used.
    #[error("{key}: {message}")]
    Config {
        /// Dotted path of the key.
        key: String,
        /// What is wrong with it, and what to write instead.
        message: String,
    },
    /// The device that was asked for cannot be used here.
    #[error("device {device:?}: {message}")]
    Device {
        /// The device as the user wrote it.
        device: String,
        /// What is missing: the feature, the driver or the GPU.
        message: String,
    },
    /// A loss stopped being a finite number.
    #[error(
        "the loss became {loss} at step {step}; lower model.train.learning_rate, lengthen \
         model.train.warmup, or look at the clips of that step"
    )]
    Diverged {
        /// First step whose loss was not finite.
        step: u64,
        /// The loss of that step.
        loss: f32,
    },
    /// Weights could not be written or read.
    #[error("weights {path:?}: {message}; check the folder, and that its disk has room")]
    Weights {
        /// The file.
        path: std::path::PathBuf,
        /// What the file system or the format said.
        message: String,
    },
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
