//! Views of frames: crops, colours and fixations, made on the device from draws of the host.
//!
//! Nothing is read back: what a view depends on is either drawn on the host or stays a tensor.

pub mod actions;
pub(crate) mod augment;
mod blur;
mod colour;
pub(crate) mod fixation;
#[cfg(test)]
mod reference;
pub(crate) mod resample;
pub(crate) mod saliency;
pub(crate) mod view;
