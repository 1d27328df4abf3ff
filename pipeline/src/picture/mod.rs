//! From a decoded picture to RGB of the training size.

mod mask;
mod planes;
mod scale;

pub(crate) use planes::{Colour, Plane, Planes};
pub(crate) use scale::{PictureConfig, Scaler};
