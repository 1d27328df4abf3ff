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

mod cholesky;
mod clips;
mod config;
mod conv3d;
mod device;
mod ema;
mod embedder;
mod encoder;
mod export;
mod gradients;
mod head;
mod import;
mod init;
mod kept;
mod layers;
pub mod loss;
pub mod method;
mod mlp;
mod motion;
mod norm;
mod optimizer;
mod parallel;
mod parameters;
mod probe;
mod random;
mod rank;
#[cfg(test)]
mod reference;
mod resnet;
mod seen;
mod state_dict;
mod statistics;
mod trace;
mod trainer;
mod views;
mod vit;
mod watched;
mod weights;
mod work;

pub use burn::tensor::Device;

pub use clips::{Clips, MEAN, STD};
pub use config::{Config, EmbedConfig, EncoderChoice, Input, Pool};
pub use conv3d::{Conv3dEncoder, Conv3dShape};
pub use device::{DeviceChoice, device_name};
pub use embedder::{Embedder, Tokens};
pub use encoder::{Arch, EncoderConfig, EncoderShape, FrameEncoder, Size};
pub use export::{Layout, export, timm_config};
pub use head::{Head, HeadConfig};
pub use init::Init;
pub use layers::Precision;
pub use method::{Futures, MethodConfig, Warning};
pub use mlp::Widths;
pub use motion::MotionEncoder;
pub use norm::Mode;
pub use optimizer::TrainConfig;
pub use rank::rankme;
pub use resnet::{ResNet18, ResNetShape};
pub use trace::NotFinite;
pub use trainer::{Embeddings, Report, Trainer, Vectors, trainer};
pub use views::actions;
pub use views::augment::AugmentConfig;
pub use vit::{Vit, VitShape};
pub use weights::{load, save};

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
