//! The settings in which published programs of label propagation differ.

/// How labels are propagated. All settings of a program stand here, so that a number can be
/// reported with its protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    /// Frames before the target frame that are its context. Frame 0 is always in the context, too.
    pub recent_frames: usize,
    /// Whether copies of frame 0 stand in for recent frames while there are fewer. A copy counts
    /// as a frame of its own among the `top_k`.
    pub repeat_first: bool,
    /// Whether the neighbourhood limits frame 0, too. It always limits the copies of frame 0.
    pub restrict_first: bool,
    /// Which cells of a context frame a target cell may take its labels from.
    pub neighbourhood: Neighbourhood,
    /// A cell's weight is `exp(cosine / temperature)`, divided by the sum of the weights.
    pub temperature: f32,
    /// Most similar cells, over the whole context, from which a target cell takes its labels.
    pub top_k: usize,
    /// Whether cells as similar as the last of the `top_k` are taken, too.
    pub keep_ties: bool,
    /// The size to which images are resized before they are encoded.
    pub input: InputSize,
    /// How masks become labels, and labels masks.
    pub resampling: Resampling,
}

impl Protocol {
    /// DINO's evaluation on DAVIS 2017 (facebookresearch/dino, `eval_video_segmentation.py`, commit
    /// 7c446df). Caron et al., arXiv 2104.14294.
    ///
    /// There, the similarities of all context cells become `exp(cosine / 0.1)`, those outside the
    /// neighbourhood 0, and those below the fifth highest 0; the rest is divided by its sum.
    pub fn dino() -> Self {
        Self {
            recent_frames: 7,
            repeat_first: false,
            restrict_first: true,
            neighbourhood: Neighbourhood::Square(12),
            temperature: 0.1,
            top_k: 5,
            keep_ties: true,
            input: InputSize::ShortSide { pixels: 480, multiple: 64 },
            resampling: Resampling::Dino,
        }
    }

    /// CropMAE's evaluation on DAVIS 2017 (alexandre-eymael/CropMAE, `downstreams/propagation`,
    /// commit 5d0dab2), which is videowalk's (Jabri et al., arXiv 2006.14613) with other numbers.
    ///
    /// There, the frames begin with 20 copies of frame 0, and the weights are a softmax over the
    /// seven highest similarities. The radius is for patches of 16 pixels.
    pub fn crop_mae() -> Self {
        Self {
            recent_frames: 20,
            repeat_first: true,
            restrict_first: false,
            neighbourhood: Neighbourhood::Radius(20.0),
            temperature: 0.7,
            top_k: 7,
            keep_ties: false,
            input: InputSize::Exact { width: 880, height: 480 },
            resampling: Resampling::Videowalk,
        }
    }
}

/// The cells of a context frame around the place of the target cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Neighbourhood {
    /// All cells.
    Everywhere,
    /// At most so many rows and so many columns away: DINO's `size_mask_neighborhood`.
    Square(usize),
    /// A Euclidean distance below this number of cells: videowalk's `radius`.
    Radius(f32),
}

impl Neighbourhood {
    /// How many columns away a cell may be that is `rows` away, if there is one.
    pub(super) fn reach(self, rows: usize) -> Option<usize> {
        match self {
            Self::Everywhere => Some(usize::MAX),
            Self::Square(side) => (rows <= side).then_some(side),
            Self::Radius(radius) => {
                let left = radius * radius - (rows * rows) as f32;
                // The largest column whose square is below what the rows leave.
                (left > 0.0).then(|| left.sqrt().ceil() as usize - 1)
            }
        }
    }
}

/// The size to which images are resized before they are encoded. Both programs use OpenCV's
/// `INTER_LINEAR`, which does not smooth; the caller does the same to be comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSize {
    /// The short side gets so many pixels; the long one keeps the shape, rounded down to a
    /// multiple.
    ShortSide {
        /// Pixels of the short side.
        pixels: usize,
        /// What the long side is a multiple of.
        multiple: usize,
    },
    /// This size, whatever the image's shape.
    Exact {
        /// Pixels in a row.
        width: usize,
        /// Number of rows.
        height: usize,
    },
}

impl InputSize {
    /// Width and height for an image of this width and height. Both are rounded down to whole
    /// patches, which changes nothing for patches of 8 or 16 pixels.
    pub fn fit(self, width: usize, height: usize, patch: usize) -> (usize, usize) {
        let (to_width, to_height) = match self {
            Self::Exact { width, height } => (width, height),
            Self::ShortSide { pixels, multiple } => {
                let long = |long: usize, short| pixels * long / short / multiple * multiple;
                // A square has a short height here, as in DINO's `read_frame`.
                if height > width {
                    (pixels, long(height, width))
                } else {
                    (long(width, height), pixels)
                }
            }
        };
        (to_width / patch * patch, to_height / patch * patch)
    }
}

/// How masks become labels of cells, and labels masks. In both programs labels become a mask by
/// bilinear interpolation to the input size, argmax, and the nearest pixel at the mask's own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// A cell gets the object of the mask's pixel at its centre (Pillow's nearest). After the
    /// interpolation each channel is stretched to 0..1 (`norm_mask`).
    Dino,
    /// The mask is resized to the input size by OpenCV's nearest, which takes the upper left pixel,
    /// and its one-hot channels are interpolated at the cells' centres. Nothing is stretched.
    Videowalk,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_davis_become_30_by_52_and_30_by_55_patches() {
        assert_eq!(Protocol::dino().input.fit(854, 480, 16), (832, 480));
        assert_eq!(Protocol::dino().input.fit(480, 854, 16), (480, 832));
        assert_eq!(Protocol::crop_mae().input.fit(854, 480, 16), (880, 480));
        assert_eq!(Protocol::crop_mae().input.fit(854, 480, 14), (868, 476));
    }

    #[test]
    fn a_radius_is_a_distance_below_it() {
        for (radius, size) in [(20.0, 24), (2.5, 5), (1.0, 3)] {
            for rows in 0..size {
                let reach = Neighbourhood::Radius(radius).reach(rows);
                let near =
                    |columns: &usize| ((rows * rows + columns * columns) as f32).sqrt() < radius;
                assert_eq!(reach, (0..size).rfind(near), "{rows} of {radius}");
            }
        }
    }

    #[test]
    fn a_square_includes_its_border() {
        assert_eq!(Neighbourhood::Square(12).reach(12), Some(12));
        assert_eq!(Neighbourhood::Square(12).reach(13), None);
    }
}
