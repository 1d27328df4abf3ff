//! Known changes of an image.

use rand::{Rng, RngExt as _};

/// How an image is changed. Lengths are shares of the image's width and height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warp {
    /// By how much it moves to the right and down.
    pub shift: [f64; 2],
    /// Radians by which it turns around its centre, clockwise as seen.
    pub turn: f64,
    /// By how much it grows.
    pub scale: f64,
    /// Standard deviation of a Gaussian blur, in pixels.
    pub blur: f64,
    /// Factor of all colours.
    pub brightness: f64,
}

impl Default for Warp {
    /// None.
    fn default() -> Self {
        Self { shift: [0.0; 2], turn: 0.0, scale: 1.0, blur: 0.0, brightness: 1.0 }
    }
}

impl Warp {
    /// Up to a fifth of the image aside, 20 degrees and a quarter larger or smaller; blurred by up
    /// to one pixel, and up to a fifth brighter or darker.
    pub fn draw(random: &mut impl Rng) -> Self {
        let mut between = |low: f64, high: f64| random.random_range(low..high);
        Self {
            shift: [between(-0.2, 0.2), between(-0.2, 0.2)],
            turn: between(-20.0, 20.0_f64).to_radians(),
            scale: between(0.8_f64.ln(), 1.25_f64.ln()).exp(),
            blur: between(0.0, 1.0),
            brightness: between(0.8, 1.2),
        }
    }

    /// Where the point `[x, y]` of an image of `size` `[width, height]` goes.
    pub fn place(&self, [x, y]: [f64; 2], [width, height]: [f64; 2]) -> [f64; 2] {
        let (sin, cos) = self.turn.sin_cos();
        let (x, y) = (self.scale * (x - width / 2.0), self.scale * (y - height / 2.0));
        [
            cos * x - sin * y + width * (0.5 + self.shift[0]),
            sin * x + cos * y + height * (0.5 + self.shift[1]),
        ]
    }

    /// The point that goes to `[x, y]`.
    fn origin(&self, [x, y]: [f64; 2], [width, height]: [f64; 2]) -> [f64; 2] {
        let (sin, cos) = self.turn.sin_cos();
        let (x, y) = (x - width * (0.5 + self.shift[0]), y - height * (0.5 + self.shift[1]));
        [
            (cos * x + sin * y) / self.scale + width / 2.0,
            (cos * y - sin * x) / self.scale + height / 2.0,
        ]
    }

    /// The changed image of bytes `[height, width, 3]`. What comes from outside repeats the border.
    ///
    /// # Panics
    /// If the bytes are not of that size.
    pub fn apply(&self, rgb: &[u8], [width, height]: [usize; 2]) -> Vec<u8> {
        assert_eq!(rgb.len(), 3 * width * height, "bytes of {width} x {height} pixels");
        let size = [width as f64, height as f64];
        let mut warped = Vec::with_capacity(rgb.len());
        for y in 0..height {
            for x in 0..width {
                let from = self.origin([x as f64 + 0.5, y as f64 + 0.5], size);
                warped.extend(bilinear(rgb, [width, height], from));
            }
        }
        let bright = blur(&warped, [width, height], self.blur).into_iter();
        bright.map(|it| (it * self.brightness).round().clamp(0.0, 255.0) as u8).collect()
    }
}

fn bilinear(rgb: &[u8], [width, height]: [usize; 2], [x, y]: [f64; 2]) -> [f64; 3] {
    let inside = |at: f64, size: usize| (at - 0.5).clamp(0.0, size as f64 - 1.0);
    let (x, y) = (inside(x, width), inside(y, height));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (right_share, bottom_share) = (x.fract(), y.fract());
    std::array::from_fn(|channel| {
        let pixel = |x: usize, y: usize| f64::from(rgb[3 * (y * width + x) + channel]);
        let row = |y| pixel(left, y) * (1.0 - right_share) + pixel(right, y) * right_share;
        row(top) * (1.0 - bottom_share) + row(bottom) * bottom_share
    })
}

/// A Gaussian blur, which stops three deviations away and repeats the border.
fn blur(rgb: &[f64], [width, height]: [usize; 2], deviation: f64) -> Vec<f64> {
    let radius = (3.0 * deviation).ceil() as isize;
    if radius == 0 {
        return rgb.to_vec();
    }
    let weight = |offset: isize| (-0.5 * (offset as f64 / deviation).powi(2)).exp();
    let weights: Vec<f64> = (-radius..=radius).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    let along = |rgb: &[f64], [dx, dy]: [isize; 2]| -> Vec<f64> {
        let mut blurred = Vec::with_capacity(rgb.len());
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            for channel in 0..3 {
                let neighbour = |offset: isize| {
                    let near = |at: usize, step: isize, size: usize| {
                        (at as isize + step * offset).clamp(0, size as isize - 1) as usize
                    };
                    rgb[3 * (near(y, dy, height) * width + near(x, dx, width)) + channel]
                };
                let all = weights.iter().zip(-radius..=radius);
                blurred.push(all.map(|(it, at)| it * neighbour(at)).sum::<f64>() / sum);
            }
        }
        blurred
    };
    along(&along(rgb, [1, 0]), [0, 1])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_place_and_its_origin_are_inverse() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            let (warp, size) = (Warp::draw(&mut random), [64.0, 48.0]);
            let back = warp.origin(warp.place([11.5, 30.25], size), size);
            assert!((back[0] - 11.5).abs() < 1e-9 && (back[1] - 30.25).abs() < 1e-9, "{back:?}");
        }
    }

    #[test]
    fn a_pixel_goes_where_the_warp_says() {
        let size = [32, 24];
        let mut rgb = vec![0; 3 * 32 * 24];
        rgb[3 * (9 * 32 + 12)..][..3].fill(200);
        // A quarter turn around the centre (16, 12) takes (12.5, 9.5) to (18.5, 8.5).
        let warp = Warp { turn: std::f64::consts::FRAC_PI_2, ..Warp::default() };
        let place = warp.place([12.5, 9.5], [32.0, 24.0]);
        assert!((place[0] - 18.5).abs() < 1e-9 && (place[1] - 8.5).abs() < 1e-9, "{place:?}");
        let warped = warp.apply(&rgb, size);
        let bright: Vec<_> = (0..32 * 24).filter(|it| warped[3 * it] > 100).collect();
        assert_eq!(bright, [8 * 32 + 18]);
    }

    #[test]
    fn brightness_and_blur_keep_what_they_should() {
        let size = [9, 9];
        let grey = vec![100; 3 * 81];
        let dark = Warp { blur: 1.0, brightness: 0.8, ..Warp::default() };
        assert_eq!(dark.apply(&grey, size), vec![80; 3 * 81]);
        let mut point = vec![0; 3 * 81];
        point[3 * (4 * 9 + 4)] = 255;
        let soft = Warp { blur: 1.0, ..Warp::default() }.apply(&point, size);
        // The centre of a two-dimensional Gaussian of deviation 1 holds 1 / (2 pi) of it.
        assert!((f64::from(soft[3 * (4 * 9 + 4)]) - 255.0 * 0.159).abs() < 2.0);
        assert_eq!(Warp::default().apply(&point, size), point);
    }
}
