//! Masks of objects.

/// An image whose pixels say which object is there: 0 is the background, [`Mask::VOID`] unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Pixels in a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// The object of each pixel, row by row.
    pub indices: Vec<u8>,
}

impl Mask {
    /// Pixels of which the annotator did not know what they show.
    pub const VOID: u8 = 255;

    /// `indices` are `height` rows of `width` pixels.
    ///
    /// # Panics
    /// If they are not, or there is no pixel.
    pub fn new(width: usize, height: usize, indices: Vec<u8>) -> Self {
        assert!(!indices.is_empty() && indices.len() == width * height, "{height} rows of {width}");
        Self { width, height, indices }
    }

    /// The highest object of the mask, which is 0 where there is none; void is no object.
    pub fn highest_object(&self) -> u8 {
        self.indices.iter().copied().filter(|&it| it != Self::VOID).max().unwrap_or(0)
    }

    /// Where the object is, row by row.
    pub(super) fn object(&self, index: u8) -> Vec<bool> {
        self.indices.iter().map(|&it| it == index).collect()
    }
}
