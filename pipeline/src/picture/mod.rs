//! Turns a decoded frame into RGB of the training size.
//!
//! ```text
//! planes ──▶ mask (paints black) ──▶ scale (crops, fits, scales, converts)
//! ```

mod mask;
mod planes;
mod scale;

pub(crate) use planes::{Colour, Plane, Planes};
pub(crate) use scale::{PictureConfig, Scaler};
