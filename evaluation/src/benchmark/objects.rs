//! Objects with the textures of real pictures: a random crop inside a random smooth outline.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::image::{Picture, Region, Texture};
use super::random::{Purpose, generator};

/// Textures are kept at no more than this many pixels a side.
const MAX_SIDE: usize = 256;
/// The crop with the most contrast is taken out of so many: a piece of plain sky is no object.
const CROPS: usize = 4;
/// Half the square in which an outline's mean colour and mask are measured.
const GRID: usize = 24;

/// A rigid, flat object.
///
/// Its own coordinates have their origin at the centroid of its surface, and their unit is the
/// radius of a circle with the same area.
#[derive(Clone, Debug)]
pub struct Object {
    /// Tells the object from all others, in every video that shows it.
    pub identity: u32,
    /// Which of the source pictures it was cut from.
    pub source: usize,
    pub(crate) texture: Texture,
    pub(crate) outline: Outline,
    /// Mean of its surface in 0 to 255, unlit.
    pub(crate) mean_colour: [f32; 3],
}

impl Object {
    /// Cuts an object out of a picture, which is the `source`th. The same seed and identity cut the
    /// same object.
    pub fn cut(picture: &Picture, source: usize, identity: u32, seed: u64) -> Self {
        let mut rng = generator(seed, Purpose::Object, identity.into());
        let outline = Outline::random(&mut rng);
        let crops = (0..CROPS).map(|_| random_crop(picture, &mut rng));
        let (_, crop) = crops
            .map(|it| (contrast(&it), it))
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .unwrap_or_else(|| (0.0, picture.clone()));
        let side = crop.width.min(MAX_SIDE);
        let texture =
            Texture::new(&if side < crop.width { crop.resized(side, side) } else { crop });
        let mut object = Self { identity, source, texture, outline, mean_colour: [0.0; 3] };
        object.mean_colour = object.measure_colour();
        object
    }

    /// Which pixels of a square picture the object covers when it fills it, row by row.
    pub fn mask(&self, side: usize) -> Vec<bool> {
        let at = |it: usize| ((it as f64 + 0.5) / side as f64 * 2.0 - 1.0) * self.outline.reach;
        let rows = (0..side).flat_map(|y| (0..side).map(move |x| [at(x), at(y)]));
        rows.map(|it| self.outline.distance(it) >= 0.0).collect()
    }

    /// The point of the texture, in its pixels, that is at a point of the object.
    pub(crate) fn texture_point(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let half = (self.texture.width() - 1) as f64 / 2.0;
        [half + u * self.texture_density(), half + v * self.texture_density()]
    }

    /// Pixels of the texture in a unit of the object's coordinates.
    pub(crate) fn texture_density(&self) -> f64 {
        (self.texture.width() - 1) as f64 / 2.0 / self.outline.reach
    }

    fn measure_colour(&self) -> [f32; 3] {
        let side = 2 * GRID;
        let step = self.texture.width() as f64 / side as f64;
        let sampler = self.texture.sampler(step);
        let (mut sum, mut count) = ([0.0; 3], 0.0);
        for (index, _) in self.mask(side).iter().enumerate().filter(|(_, inside)| **inside) {
            let at = |it: usize| (it as f64 + 0.5) * step - 0.5;
            let colour = sampler.sample(at(index % side), at(index / side));
            (0..3).for_each(|c| sum[c] += colour[c]);
            count += 1.0;
        }
        sum.map(|it| it / count)
    }
}

/// A closed curve around an object: its radius as a function of the direction is a Fourier series
/// of the orders 2 to 5.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    base: f64,
    /// Cosine and sine amplitudes of each order.
    terms: [[f64; 2]; 4],
    /// No point of the curve is nearer to its origin than this.
    inner: f64,
    /// From the origin of the curve to its centroid.
    centroid: [f64; 2],
    /// No point of the curve is further from the centroid than this.
    pub(crate) reach: f64,
}

impl Outline {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut amplitude = |order: f64| [(); 2].map(|()| rng.random_range(-0.4..0.4) / order);
        let terms = [2.0, 3.0, 4.0, 5.0].map(&mut amplitude);
        // The area of the curve is π * base² * (1 + half the sum of squares), and shall be π.
        let squares: f64 = terms.as_flattened().iter().map(|it| it * it).sum();
        let base = 1.0 / (1.0 + squares / 2.0).sqrt();
        let spread: f64 = terms.iter().map(|[cos, sin]| (cos * cos + sin * sin).sqrt()).sum();
        let inner = base * (1.0 - spread);
        let outer = base * (1.0 + spread);
        let mut outline = Self { base, terms, inner, centroid: [0.0; 2], reach: outer };
        let [x, y] = outline.measure_centroid();
        outline.centroid = [x, y];
        outline.reach = outer + (x * x + y * y).sqrt();
        outline
    }

    /// How far a point is inside the outline, in units of the object; negative outside. Exact to
    /// first order near the outline, and no more than a lower bound far inside.
    pub(crate) fn distance(&self, [u, v]: [f64; 2]) -> f64 {
        let (u, v) = (u + self.centroid[0], v + self.centroid[1]);
        let length = (u * u + v * v).sqrt();
        if length < self.inner * 0.8 {
            return self.inner * 0.2;
        }
        let (radius, slope) = self.radius([u / length, v / length]);
        let tilt = slope / radius;
        (radius - length) / (1.0 + tilt * tilt).sqrt()
    }

    /// The radius in a direction, and its derivative by the angle.
    fn radius(&self, [cos, sin]: [f64; 2]) -> (f64, f64) {
        let (mut radius, mut slope) = (1.0, 0.0);
        let (mut power, mut order) = ([cos, sin], 1.0);
        for [a, b] in self.terms {
            power = [power[0] * cos - power[1] * sin, power[0] * sin + power[1] * cos];
            order += 1.0;
            radius += a * power[0] + b * power[1];
            slope += order * (b * power[0] - a * power[1]);
        }
        (self.base * radius, self.base * slope)
    }

    fn measure_centroid(&self) -> [f64; 2] {
        // ∫ r³ / 3 of the direction over the area π. Sixty-four directions are exact for a
        // polynomial of degree 16.
        let mut sum = [0.0; 2];
        for step in 0..64 {
            let (sin, cos) = super::motion::sin_cos(f64::from(step) * std::f64::consts::TAU / 64.0);
            let radius = self.radius([cos, sin]).0;
            let cube = radius * radius * radius;
            sum = [sum[0] + cube * cos, sum[1] + cube * sin];
        }
        sum.map(|it| it * 2.0 / 3.0 / 64.0)
    }
}

fn random_crop(picture: &Picture, rng: &mut ChaCha8Rng) -> Picture {
    let shorter = picture.width.min(picture.height);
    let share = rng.random_range(0.3..0.6);
    let side = ((shorter as f64 * share) as usize).clamp(2.min(shorter), shorter);
    let x = rng.random_range(0..=picture.width - side);
    let y = rng.random_range(0..=picture.height - side);
    picture.crop(Region { x, y, width: side, height: side })
}

/// The variance of the colours.
fn contrast(picture: &Picture) -> f64 {
    let (pixels, _) = picture.rgb.as_chunks::<3>();
    let count = pixels.len() as f64;
    let channel = |c: usize| {
        let values = || pixels.iter().map(move |it| f64::from(it[c]));
        let mean = values().sum::<f64>() / count;
        values().map(|it| (it - mean) * (it - mean)).sum::<f64>() / count
    };
    (0..3).map(channel).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture::from_fn(90, 60, |x, y| [(x * 2) as u8, (y * 4) as u8, ((x * y) % 251) as u8])
    }

    #[test]
    fn an_identity_is_always_the_same_object() {
        let [first, again, other, seeded] = [(3, 1), (3, 1), (4, 1), (3, 2)]
            .map(|(identity, seed)| Object::cut(&picture(), 0, identity, seed).mask(64));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_ne!(first, seeded);
    }

    #[test]
    fn the_unit_is_the_radius_of_equal_area_and_the_origin_the_centroid() {
        for identity in 0..20 {
            let object = Object::cut(&picture(), 0, identity, 1);
            let (side, reach) = (400, object.outline.reach);
            let pixel = 2.0 * reach / side as f64;
            let mask = object.mask(side);
            let inside = || (0..mask.len()).filter(|&it| mask[it]);
            let area = inside().count() as f64 * pixel * pixel;
            assert!((area / std::f64::consts::PI - 1.0).abs() < 0.01, "area {area}");
            let mean = |part: fn(usize, usize) -> usize| {
                let sum: f64 = inside().map(|it| part(it, side) as f64 + 0.5).sum();
                sum / inside().count() as f64 * pixel - reach
            };
            let centroid = [mean(|it, side| it % side), mean(|it, side| it / side)];
            assert!(centroid.iter().all(|it| it.abs() < 0.01), "centroid {centroid:?}");
        }
    }

    #[test]
    fn distances_near_the_outline_are_those_to_its_points() {
        let outline = Object::cut(&picture(), 0, 5, 1).outline;
        let on_curve = |step: u32| {
            let (sin, cos) = super::super::motion::sin_cos(f64::from(step) * 0.001);
            let radius = outline.radius([cos, sin]).0;
            [radius * cos - outline.centroid[0], radius * sin - outline.centroid[1]]
        };
        for step in (0..6283).step_by(97) {
            let [u, v] = on_curve(step);
            assert!(outline.distance([u, v]).abs() < 1e-9);
            let [u, v] = [u * 1.03, v * 1.03];
            let nearest = (0..6283)
                .map(on_curve)
                .map(|[x, y]| ((u - x) * (u - x) + (v - y) * (v - y)).sqrt())
                .fold(f64::MAX, f64::min);
            assert!((outline.distance([u, v]) + nearest).abs() < 0.004, "at {step}");
        }
    }

    #[test]
    fn a_crop_with_contrast_is_preferred_to_a_plain_one() {
        let half = Picture::from_fn(300, 100, |x, y| {
            if x < 200 { [120; 3] } else { [((x + y) % 2 * 255) as u8; 3] }
        });
        let plain = |identity: &u32| contrast_of(&Object::cut(&half, 0, *identity, 1)) == 0.0;
        let count = (0..100).filter(plain).count();
        assert!(count < 25, "{count} of 100 objects are plain");
    }

    fn contrast_of(object: &Object) -> f64 {
        let width = object.texture.width();
        let sampler = object.texture.sampler(1.0);
        contrast(&Picture::from_fn(width, width, |x, y| {
            sampler.sample(x as f64, y as f64).map(super::super::image::byte)
        }))
    }
}
