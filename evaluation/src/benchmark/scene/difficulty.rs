//! What makes a scene easy or hard.

use serde::{Deserialize, Serialize};

/// How hard it is to follow the objects of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// Few slow objects over a soft background from another picture.
    Easy,
    /// In between.
    Medium,
    /// Many fast objects that turn, grow and shrink in changing light, over the sharp picture that
    /// they were cut from.
    Hard,
}

/// Lengths are shares of the frame's shorter side.
pub(super) struct Settings {
    pub(super) objects: [usize; 2],
    pub(super) radius: [f64; 2],
    /// Per frame, in x and in y.
    pub(super) speed: f64,
    pub(super) pan: f64,
    pub(super) zoom: f64,
    pub(super) softness: f64,
    /// Radians per frame.
    pub(super) turning: f64,
    /// Largest relative change of an object's size.
    pub(super) size_change: f64,
    /// The darkest light.
    pub(super) darkest: f64,
    /// How often an object comes from the picture of the background.
    pub(super) camouflage: f64,
}

impl Difficulty {
    /// All of them, from the easiest to the hardest.
    pub const ALL: [Self; 3] = [Self::Easy, Self::Medium, Self::Hard];

    pub(super) fn settings(self) -> Settings {
        match self {
            Self::Easy => Settings {
                objects: [2, 3],
                radius: [0.12, 0.18],
                speed: 0.006,
                pan: 0.002,
                zoom: 0.02,
                softness: 6.0,
                turning: 0.01,
                size_change: 0.1,
                darkest: 0.9,
                camouflage: 0.0,
            },
            Self::Medium => Settings {
                objects: [4, 6],
                radius: [0.09, 0.16],
                speed: 0.012,
                pan: 0.004,
                zoom: 0.06,
                softness: 2.0,
                turning: 0.03,
                size_change: 0.25,
                darkest: 0.7,
                camouflage: 0.5,
            },
            Self::Hard => Settings {
                objects: [7, 10],
                radius: [0.07, 0.14],
                speed: 0.022,
                pan: 0.008,
                zoom: 0.1,
                softness: 1.0,
                turning: 0.07,
                size_change: 0.4,
                darkest: 0.45,
                camouflage: 1.0,
            },
        }
    }
}
