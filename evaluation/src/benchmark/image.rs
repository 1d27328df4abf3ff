//! Pictures of eight bits a channel: cropping, resizing, and sampling between pixels.
//!
//! Coordinates are in pixels, x to the right and y downwards. The centre of the first pixel is
//! (0, 0), so that whole numbers are centres of pixels.

/// A colour picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row.
    pub rgb: Vec<u8>,
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

impl Picture {
    /// A picture of `width * height` pixels.
    ///
    /// # Panics
    /// If `rgb` has not three bytes for each pixel, or there is no pixel.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        assert!(width > 0 && height > 0, "a picture has pixels");
        assert_eq!(rgb.len(), width * height * 3, "three bytes for each of {width} x {height}");
        Self { width, height, rgb }
    }

    /// A picture whose pixel at column x and row y is `colour(x, y)`.
    pub fn from_fn(
        width: usize,
        height: usize,
        mut colour: impl FnMut(usize, usize) -> [u8; 3],
    ) -> Self {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self::new(width, height, pixels.flat_map(|(x, y)| colour(x, y)).collect())
    }

    /// The colour of one pixel.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let start = (y * self.width + x) * 3;
        [self.rgb[start], self.rgb[start + 1], self.rgb[start + 2]]
    }

    /// The colour at a point between pixels, in 0 to 255 and bilinear. Beyond the edge it is the
    /// colour of the edge.
    pub fn sample(&self, x: f64, y: f64) -> [f32; 3] {
        bilinear(self.rgb.as_chunks().0, self.width, self.height, x, y)
    }

    /// A copy of one region.
    ///
    /// # Panics
    /// If the region is not inside the picture.
    pub fn crop(&self, region: Region) -> Self {
        let Region { x, y, width, height } = region;
        assert!(x + width <= self.width && y + height <= self.height, "{region:?} is inside");
        let rows = self.rgb.chunks_exact(self.width * 3).skip(y).take(height);
        Self::new(width, height, rows.flat_map(|it| &it[x * 3..][..width * 3]).copied().collect())
    }

    /// A copy of `width * height` pixels: averages of areas where it shrinks, and bilinear where it
    /// grows.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let (columns, rows) = (weights(self.width, width), weights(self.height, height));
        let mut wide = vec![[0.0_f32; 3]; width * self.height];
        for (line, row) in wide.chunks_exact_mut(width).zip(self.rgb.chunks_exact(self.width * 3)) {
            let (row, _) = row.as_chunks::<3>();
            for (pixel, (start, weights)) in line.iter_mut().zip(&columns) {
                for (weight, from) in weights.iter().zip(&row[*start..]) {
                    (0..3).for_each(|c| pixel[c] += weight * f32::from(from[c]));
                }
            }
        }
        let blended = |x: usize, (start, weights): &(usize, Vec<f32>)| {
            let mut sum = [0.0_f32; 3];
            for (weight, line) in weights.iter().zip(wide.chunks_exact(width).skip(*start)) {
                (0..3).for_each(|c| sum[c] += weight * line[x][c]);
            }
            sum.map(byte)
        };
        Self::from_fn(width, height, |x, y| blended(x, &rows[y]))
    }
}

/// A picture with ever smaller copies of itself, from which it can be drawn at any smaller size
/// without flicker. `C` is the number of channels.
#[derive(Clone, Debug)]
pub struct Texture<const C: usize = 3> {
    levels: Vec<Level<C>>,
}

#[derive(Clone, Debug)]
struct Level<const C: usize> {
    width: usize,
    height: usize,
    pixels: Vec<[u8; C]>,
}

/// Takes colours from a texture that is drawn at one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler<'a, const C: usize> {
    fine: &'a Level<C>,
    /// The next smaller copy and its share in the colour.
    coarse: Option<(&'a Level<C>, f32)>,
    /// Pixels of the picture in a pixel of the finer copy.
    step: f64,
}

impl Texture {
    /// The texture of a picture. It takes a third more memory than the picture.
    pub fn new(picture: &Picture) -> Self {
        Self::from_pixels(picture.width, picture.height, picture.rgb.as_chunks().0.to_vec())
    }
}

impl<const C: usize> Texture<C> {
    pub(crate) fn from_pixels(width: usize, height: usize, pixels: Vec<[u8; C]>) -> Self {
        let mut levels = vec![Level { width, height, pixels }];
        while let Some(last) = levels.last().filter(|it| it.width.min(it.height) > 1) {
            levels.push(last.halved());
        }
        Self { levels }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.levels[0].width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.levels[0].height
    }

    /// The sampler for a drawing in which neighbouring pixels are `step` pixels of the picture
    /// apart.
    pub(crate) fn sampler(&self, step: f64) -> Sampler<'_, C> {
        let (mut index, mut size) = (0, 1.0);
        while index + 1 < self.levels.len() && size * 2.0 <= step {
            index += 1;
            size *= 2.0;
        }
        let share = (step / size - 1.0).clamp(0.0, 1.0) as f32;
        let coarse = self.levels.get(index + 1).filter(|_| share > 0.0).map(|it| (it, share));
        Sampler { fine: &self.levels[index], coarse, step: size }
    }
}

impl<const C: usize> Level<C> {
    /// Averages of two by two pixels. The last column and row count twice where they have no
    /// neighbour, so that coordinates halve exactly.
    fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = [2 * y, (2 * y + 1).min(self.height - 1)].map(|it| it * self.width);
            for x in 0..width {
                let columns = [2 * x, (2 * x + 1).min(self.width - 1)];
                let four = rows.map(|row| columns.map(|column| self.pixels[row + column]));
                pixels.push(std::array::from_fn(|c| {
                    let sum: u16 = four.as_flattened().iter().map(|it| u16::from(it[c])).sum();
                    ((sum + 2) / 4) as u8
                }));
            }
        }
        Self { width, height, pixels }
    }

    fn sample(&self, x: f64, y: f64) -> [f32; C] {
        bilinear(&self.pixels, self.width, self.height, x, y)
    }
}

impl<const C: usize> Sampler<'_, C> {
    /// The colour at a point of the picture, in 0 to 255.
    pub(crate) fn sample(&self, x: f64, y: f64) -> [f32; C] {
        let at = |level: &Level<C>, step: f64| {
            level.sample((x + 0.5) / step - 0.5, (y + 0.5) / step - 0.5)
        };
        let fine = at(self.fine, self.step);
        let Some((level, share)) = self.coarse else { return fine };
        let coarse = at(level, self.step * 2.0);
        std::array::from_fn(|c| fine[c] + (coarse[c] - fine[c]) * share)
    }
}

/// The nearest byte to a channel in 0 to 255.
pub(crate) fn byte(value: f32) -> u8 {
    (value + 0.5) as u8
}

fn bilinear<const C: usize>(
    pixels: &[[u8; C]],
    width: usize,
    height: usize,
    x: f64,
    y: f64,
) -> [f32; C] {
    let (x, y) = (x.clamp(0.0, (width - 1) as f64), y.clamp(0.0, (height - 1) as f64));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (across, down) = ((x - left as f64) as f32, (y - top as f64) as f32);
    let line = |row: usize| -> [f32; C] {
        let (from, to) = (&pixels[row * width + left], &pixels[row * width + right]);
        std::array::from_fn(|c| {
            let (from, to) = (f32::from(from[c]), f32::from(to[c]));
            from + (to - from) * across
        })
    };
    let (upper, lower) = (line(top), line(bottom));
    std::array::from_fn(|c| upper[c] + (lower[c] - upper[c]) * down)
}

/// For each of `to` pixels in a line: the first of the `from` pixels that it takes, and the weights
/// of that one and those that follow.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let ratio = from as f64 / to as f64;
    let averaged = |index: usize| {
        let (start, end) = (index as f64 * ratio, (index + 1) as f64 * ratio);
        let first = start as usize;
        let last = (end.ceil() as usize).min(from);
        let overlap = |it: usize| (end.min((it + 1) as f64) - start.max(it as f64)) / ratio;
        (first, (first..last).map(|it| overlap(it) as f32).collect())
    };
    let interpolated = |index: usize| {
        let at = ((index as f64 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f64);
        let first = at as usize;
        let share = (at - first as f64) as f32;
        (first, if share > 0.0 { vec![1.0 - share, share] } else { vec![1.0] })
    };
    (0..to).map(|it| if ratio > 1.0 { averaged(it) } else { interpolated(it) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: usize, height: usize) -> Picture {
        Picture::from_fn(width, height, |x, y| [(x * 8) as u8, (y * 8) as u8, 100])
    }

    #[test]
    fn a_sample_between_pixels_is_their_mixture() {
        let picture = ramp(16, 8);
        assert_eq!(picture.sample(3.0, 2.0), [24.0, 16.0, 100.0]);
        assert_eq!(picture.sample(3.25, 2.5), [26.0, 20.0, 100.0]);
        assert_eq!(picture.sample(-9.0, 99.0), [0.0, 56.0, 100.0]);
    }

    #[test]
    fn a_crop_has_the_pixels_of_its_region() {
        let crop = ramp(16, 8).crop(Region { x: 3, y: 2, width: 5, height: 4 });
        assert_eq!((crop.width, crop.height), (5, 4));
        assert_eq!(crop.pixel(4, 3), [56, 40, 100]);
    }

    #[test]
    fn shrinking_averages_areas() {
        let checks = Picture::from_fn(12, 12, |x, y| [((x + y) % 2 * 200) as u8; 3]);
        assert!(checks.resized(6, 3).rgb.iter().all(|&it| it == 100));
        let total = |it: &Picture| it.rgb.iter().map(|&it| f64::from(it)).sum::<f64>();
        let (all, five) = (ramp(16, 8), ramp(16, 8).resized(5, 3));
        assert!((total(&all) / 128.0 - total(&five) / 15.0).abs() < 1.0);
    }

    #[test]
    fn growing_keeps_a_straight_slope() {
        let grown = ramp(16, 8).resized(32, 16);
        let steps: Vec<_> =
            (2..29).map(|x| grown.pixel(x + 1, 5)[0] - grown.pixel(x, 5)[0]).collect();
        assert!(steps.iter().all(|&it| it == 4), "{steps:?}");
        assert_eq!(ramp(16, 8).resized(16, 8), ramp(16, 8));
    }

    #[test]
    fn smaller_copies_keep_the_place_of_what_they_show() {
        let texture = Texture::new(&ramp(31, 31));
        for step in [1.0, 1.5, 2.0, 3.0, 4.0] {
            let [red, green, _] = texture.sampler(step).sample(14.2, 11.7);
            assert!((red - 14.2 * 8.0).abs() < 1.5, "{red} at step {step}");
            assert!((green - 11.7 * 8.0).abs() < 1.5, "{green} at step {step}");
        }
    }

    #[test]
    fn fine_checks_turn_grey_in_the_distance() {
        let checks = Picture::from_fn(64, 64, |x, y| [((x + y) % 2 * 200) as u8; 3]);
        assert_eq!(Texture::new(&checks).sampler(4.0).sample(20.0, 21.0), [100.0; 3]);
    }
}
