//! Draws videos of which everything is known, so that a benchmark needs no download.
//!
//! Two kinds: [`SceneVideo`] moves objects, cut out of real pictures, in front of each other, and
//! says for each pixel which object it shows and where it goes. [`MovingItemVideo`] moves one
//! labelled image, and says where it is, how it is turned and lit, and what its colour is.
//!
//! ```text
//! Picture ── bands ──┬── Texture ──┐
//!                    └── Object ───┴── SceneVideo ───────► SceneFrame
//! LabelledImages ── items ── Item ──── MovingItemVideo ──► MovingItemFrame
//! ```
//!
//! A video is the same to the last bit on every machine: all that is random comes from a seed, and
//! only operations that IEEE 754 defines exactly are used. Frames are drawn one at a time.

mod image;
mod motion;
mod random;

mod background;
mod objects;
mod scene;

mod idx;
mod moving_items;

mod splits;

pub use idx::{LabelledImages, ReadError};
pub use image::{Picture, Region, Texture};
pub use moving_items::{Item, ItemFactors, MovingItemConfig, MovingItemFrame, MovingItemVideo};
pub use objects::Object;
pub use scene::{Difficulty, ObjectState, SceneConfig, SceneFrame, SceneVideo};
pub use splits::{Split, bands, items};
