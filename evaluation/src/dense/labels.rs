//! Soft labels of a grid of cells, from and to masks.

use rayon::prelude::*;

use super::resize::{bilinear, nearest_centre, nearest_corner};
use super::{Mask, Protocol, Resampling};

/// For every cell of a grid a number per class; class 0 is the background, class `n` object `n`.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    height: usize,
    width: usize,
    classes: usize,
    values: Vec<f32>,
}

impl Labels {
    /// `values` are the classes of one cell after the other, row by row.
    ///
    /// # Panics
    /// If they are not `height * width * classes` numbers, if there is none, or if the classes are
    /// more than a mask can hold.
    pub fn new(height: usize, width: usize, classes: usize, values: Vec<f32>) -> Self {
        let numbers = height * width * classes;
        assert!(classes <= 256, "{classes} classes in a mask");
        assert!(numbers > 0 && values.len() == numbers, "{height} x {width} cells of {classes}");
        Self { height, width, classes, values }
    }

    /// The labels of the patches, of `patch` x `patch` pixels, of an image whose objects `mask`
    /// shows.
    ///
    /// The classes go to the highest object. DINO's program does the same; CropMAE's has a class
    /// for each object that is there, which comes to the same, as an empty class never wins. Void
    /// is background; both programs would make an object of it.
    pub fn from_mask(mask: &Mask, patch: usize, protocol: &Protocol) -> Self {
        let mask = void_as_background(mask);
        let classes = usize::from(mask.highest_object()) + 1;
        let (input_width, input_height) = protocol.input.fit(mask.width, mask.height, patch);
        let (width, height) = (input_width / patch, input_height / patch);
        let mut labels = Self::new(height, width, classes, vec![0.0; height * width * classes]);
        match protocol.resampling {
            Resampling::Dino => {
                let columns = nearest_centre(mask.width, width);
                for (y, row) in nearest_centre(mask.height, height).into_iter().enumerate() {
                    for (x, column) in columns.iter().enumerate() {
                        let object = mask.indices[row * mask.width + column];
                        labels.cell_mut(y, x)[usize::from(object)] = 1.0;
                    }
                }
            }
            Resampling::Videowalk => {
                let rows = nearest_corner(mask.height, input_height);
                let columns = nearest_corner(mask.width, input_width);
                let across = bilinear(input_width, width);
                for (y, down) in bilinear(input_height, height).into_iter().enumerate() {
                    for (x, across) in across.iter().enumerate() {
                        let cell = labels.cell_mut(y, x);
                        for (row, weight) in down.taps() {
                            for (column, share) in across.taps() {
                                let object = mask.indices[rows[row] * mask.width + columns[column]];
                                cell[usize::from(object)] += weight * share;
                            }
                        }
                    }
                }
            }
        }
        labels
    }

    /// The mask of `width` x `height` pixels, for patches of `patch` x `patch` pixels. Where two
    /// classes are equal, the lower wins.
    pub fn to_mask(&self, patch: usize, width: usize, height: usize, protocol: &Protocol) -> Mask {
        let (input_width, input_height) = (self.width * patch, self.height * patch);
        let mut pixels = self.interpolated(input_width, input_height);
        let (rows, columns) = match protocol.resampling {
            Resampling::Dino => {
                self.stretch(&mut pixels);
                (nearest_centre(input_height, height), nearest_centre(input_width, width))
            }
            Resampling::Videowalk => {
                (nearest_corner(input_height, height), nearest_corner(input_width, width))
            }
        };
        let winner = |row: usize, column: usize| {
            let pixel = &pixels[(row * input_width + column) * self.classes..][..self.classes];
            let best = (1..pixel.len())
                .fold(0, |best, it| if pixel[it] > pixel[best] { it } else { best });
            best as u8
        };
        let winner = &winner;
        let indices = rows.iter().flat_map(|&row| columns.iter().map(move |&it| winner(row, it)));
        Mask::new(width, height, indices.collect())
    }

    /// Classes of a cell.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows and columns of cells.
    pub fn grid(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// All numbers, in the order of [`Labels::new`].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The classes of a cell, counted row by row.
    pub(super) fn cell(&self, index: usize) -> &[f32] {
        &self.values[index * self.classes..][..self.classes]
    }

    fn cell_mut(&mut self, y: usize, x: usize) -> &mut [f32] {
        &mut self.values[(y * self.width + x) * self.classes..][..self.classes]
    }

    /// The classes of all pixels of an image of this size.
    fn interpolated(&self, width: usize, height: usize) -> Vec<f32> {
        let (down, across) = (bilinear(self.height, height), bilinear(self.width, width));
        let mut pixels = vec![0.0; width * height * self.classes];
        let rows = pixels.par_chunks_exact_mut(width * self.classes).zip(&down);
        rows.for_each(|(row, down)| {
            for (pixel, across) in row.chunks_exact_mut(self.classes).zip(&across) {
                for (y, weight) in down.taps() {
                    for (x, share) in across.taps() {
                        let cell = self.cell(y * self.width + x);
                        for (value, it) in pixel.iter_mut().zip(cell) {
                            *value += weight * share * it;
                        }
                    }
                }
            }
        });
        pixels
    }

    /// Stretches each class to 0..1 over the image, as DINO's `norm_mask`. A class that is the same
    /// in all cells stays; DINO's program stretches what rounding makes of it, or divides 0 by 0.
    fn stretch(&self, pixels: &mut [f32]) {
        let varies = |class: &usize| {
            (0..self.height * self.width).any(|it| self.cell(it)[*class] != self.values[*class])
        };
        for class in (0..self.classes).filter(varies) {
            let values = || pixels.iter().skip(class).step_by(self.classes).copied();
            let low = values().fold(f32::INFINITY, f32::min);
            let range = values().fold(f32::NEG_INFINITY, f32::max) - low;
            if range > 0.0 {
                let channel = pixels.iter_mut().skip(class).step_by(self.classes);
                channel.for_each(|it| *it = (*it - low) / range);
            }
        }
    }
}

fn void_as_background(mask: &Mask) -> Mask {
    let indices = mask.indices.iter().map(|&it| if it == Mask::VOID { 0 } else { it });
    Mask::new(mask.width, mask.height, indices.collect())
}
