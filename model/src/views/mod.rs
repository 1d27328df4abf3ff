//! Views of frames: crops, colour changes and fixations.
//!
//! Random numbers are drawn on the CPU and views are computed on the device. Nothing is read back
//! from the device, which would wait for it.

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
