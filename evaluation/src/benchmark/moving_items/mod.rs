//! Videos of one labelled image that moves over a panning background, with the factors that made
//! each frame.

use std::borrow::Cow;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::background::{Background, Pan, noise};
use super::image::{Picture, Texture, byte};
use super::motion::{Motion, Pose, Wave};
use super::random::{Purpose, generator};

/// Backgrounds of noise are no brighter than this, so that items stand out.
const BRIGHTEST_NOISE: f32 = 140.0;

/// An image that can be drawn in motion.
#[derive(Clone, Debug)]
pub struct Item {
    /// Red, green and blue times opacity, and opacity; with a transparent border.
    texture: Texture<4>,
    /// Its centre of brightness, in pixels of the texture.
    centre: [f64; 2],
    /// The longer side of the image.
    side: f64,
}

impl Item {
    /// An item from a grey image on black, row by row. Black is transparent.
    ///
    /// # Panics
    /// If `grey` does not have `width * height` bytes, or there are none.
    pub fn from_grey(width: usize, height: usize, grey: &[u8]) -> Self {
        assert!(!grey.is_empty() && grey.len() == width * height, "{width} x {height} bytes");
        // Opaque from a quarter of the brightness on: dark parts are dark, not holes.
        let pixel = |value: u8| {
            let opacity = value.saturating_mul(4);
            [value, value, value, opacity]
        };
        Self::new(width, height, grey.iter().map(|it| pixel(*it)).collect())
    }

    /// An opaque rectangular item.
    pub fn from_picture(picture: &Picture) -> Self {
        let (pixels, _) = picture.rgb.as_chunks::<3>();
        let pixels = pixels.iter().map(|it| [it[0], it[1], it[2], 255]).collect();
        Self::new(picture.width, picture.height, pixels)
    }

    fn new(width: usize, height: usize, pixels: Vec<[u8; 4]>) -> Self {
        let border = 1 + width.max(height) / 8;
        let wide = width + 2 * border;
        let mut padded = vec![[0; 4]; wide * (height + 2 * border)];
        for (row, line) in pixels.chunks_exact(width).enumerate() {
            padded[(row + border) * wide + border..][..width].copy_from_slice(line);
        }
        let (mut total, mut centre) = (0.0, [0.0; 2]);
        for (index, pixel) in padded.iter().enumerate() {
            let brightness: f64 = pixel[..3].iter().map(|it| f64::from(*it)).sum();
            total += brightness;
            centre[0] += brightness * (index % wide) as f64;
            centre[1] += brightness * (index / wide) as f64;
        }
        let middle = [(wide - 1) as f64 / 2.0, (height + 2 * border - 1) as f64 / 2.0];
        let centre = if total > 0.0 { centre.map(|it| it / total) } else { middle };
        let texture = Texture::from_pixels(wide, height + 2 * border, padded);
        Self { texture, centre, side: width.max(height) as f64 }
    }
}

/// What the video of an item is like. Lengths are shares of the frame's shorter side.
#[derive(Clone, Copy, Debug)]
pub struct MovingItemConfig {
    /// Pixels in a row of a frame.
    pub width: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Number of frames.
    pub frames: usize,
    /// The longer side of the item.
    pub size: f64,
    /// Mean speed of the item in x and in y, per frame.
    pub speed: f64,
    /// Mean speed of the background in x and in y, per frame.
    pub pan: f64,
    /// Mean speed of turning, in radians per frame.
    pub turning: f64,
    /// The largest angle, in radians.
    pub max_angle: f64,
    /// The largest relative change of the size.
    pub size_change: f64,
    /// The darkest light; the brightest is 1.
    pub darkest: f64,
}

impl MovingItemConfig {
    /// A video with an item of half the frame, in moderate motion.
    pub fn new(width: usize, height: usize, frames: usize) -> Self {
        Self {
            width,
            height,
            frames,
            size: 0.5,
            speed: 0.015,
            pan: 0.008,
            turning: 0.04,
            max_angle: 0.8,
            size_change: 0.3,
            darkest: 0.5,
        }
    }
}

/// What made one frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ItemFactors {
    /// Column of the item's centre of brightness; whole numbers are centres of pixels.
    pub x: f64,
    /// Row of the centre of brightness.
    pub y: f64,
    /// Change of `x` to the next frame.
    pub vx: f64,
    /// Change of `y` to the next frame.
    pub vy: f64,
    /// Pixels of the frame in a pixel of the item's image.
    pub scale: f64,
    /// Radians clockwise.
    pub angle: f64,
    /// The factor by which the light scales all colours, at most 1.
    pub light: f64,
    /// The factors of the item's red, green and blue; the same in all frames of a video.
    pub tint: [f32; 3],
}

/// One frame and its factors.
#[derive(Clone, Debug, PartialEq)]
pub struct MovingItemFrame {
    /// Red, green and blue of each pixel, row by row.
    pub rgb: Vec<u8>,
    /// What made it.
    pub factors: ItemFactors,
}

/// Draws the frames of one item's video, one at a time.
#[derive(Clone, Debug)]
pub struct MovingItemVideo<'a> {
    config: MovingItemConfig,
    item: &'a Item,
    background: Background<'a>,
    motion: Motion,
    light: Wave,
    tint: [f32; 3],
    next: usize,
}

impl<'a> MovingItemVideo<'a> {
    /// The video of one item, over a given picture or over smooth random colours.
    ///
    /// # Panics
    /// If the frames have no pixels.
    pub fn new(
        config: MovingItemConfig,
        item: &'a Item,
        background: Option<&'a Texture>,
        seed: u64,
    ) -> Self {
        assert!(config.width > 0 && config.height > 0, "frames have pixels");
        let drawn = || Cow::Owned(noise(BRIGHTEST_NOISE, &mut generator(seed, Purpose::Noise, 0)));
        let texture = background.map_or_else(drawn, Cow::Borrowed);
        let rng = &mut generator(seed, Purpose::MovingItem, 0);
        let side = config.width.min(config.height) as f64;
        let pan = Pan { speed: config.pan * side, zoom: 0.05, softness: 1.0 };
        let background = Background::random(texture, [config.width, config.height], pan, rng);
        let motion = random_motion(&config, item, rng);
        let dimming = (1.0 - config.darkest) / 2.0;
        let light = Wave::random(rng, 1.0 - dimming, dimming, dimming * 0.06);
        let tint = random_tint(rng);
        Self { config, item, background, motion, light, tint, next: 0 }
    }

    fn draw(&self, frame: usize) -> MovingItemFrame {
        let (pose, next) = (self.motion.pose(frame), self.motion.pose(frame + 1));
        let mut colours = self.background.draw(&self.background.view(frame));
        self.add_item(&pose, &mut colours);
        let light = self.light.at(frame);
        let factors = ItemFactors {
            x: pose.x,
            y: pose.y,
            vx: next.x - pose.x,
            vy: next.y - pose.y,
            scale: pose.scale,
            angle: pose.angle,
            light,
            tint: self.tint,
        };
        let rgb = colours.iter().flat_map(|it| it.map(|it| byte(it * light as f32))).collect();
        MovingItemFrame { rgb, factors }
    }

    fn add_item(&self, pose: &Pose, colours: &mut [[f32; 3]]) {
        let (texture, centre) = (&self.item.texture, self.item.centre);
        let size = [texture.width() as f64, texture.height() as f64];
        let sampler = texture.sampler(1.0 / pose.scale);
        let corners = [[0.0, 0.0], [size[0], 0.0], [0.0, size[1]], size]
            .map(|it| pose.place([it[0] - centre[0], it[1] - centre[1]]));
        let range = |axis: usize, length: usize| {
            let low = corners.iter().map(|it| it[axis]).fold(f64::MAX, f64::min);
            let high = corners.iter().map(|it| it[axis]).fold(f64::MIN, f64::max);
            // A negative number becomes 0.
            low.floor() as usize..((high.ceil() + 1.0) as usize).min(length)
        };
        for row in range(1, self.config.height) {
            for column in range(0, self.config.width) {
                let [u, v] = pose.locate([column as f64, row as f64]);
                let [x, y] = [u + centre[0], v + centre[1]];
                if x < 0.0 || y < 0.0 || x > size[0] - 1.0 || y > size[1] - 1.0 {
                    continue;
                }
                let [red, green, blue, opacity] = sampler.sample(x, y);
                let below = &mut colours[row * self.config.width + column];
                let left = 1.0 - opacity / 255.0;
                let item = [red, green, blue];
                *below = [0, 1, 2].map(|c| below[c] * left + item[c] * self.tint[c]);
            }
        }
    }
}

impl Iterator for MovingItemVideo<'_> {
    type Item = MovingItemFrame;

    fn next(&mut self) -> Option<MovingItemFrame> {
        if self.next == self.config.frames {
            return None;
        }
        self.next += 1;
        Some(self.draw(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = self.config.frames - self.next;
        (rest, Some(rest))
    }
}

impl ExactSizeIterator for MovingItemVideo<'_> {}

fn random_motion(config: &MovingItemConfig, item: &Item, rng: &mut ChaCha8Rng) -> Motion {
    let side = config.width.min(config.height) as f64;
    let mut axis = |length: usize| {
        let length = length as f64;
        let centre = length * rng.random_range(0.42..0.58);
        let amplitude = length * rng.random_range(0.12..0.24);
        let speed = side * config.speed * rng.random_range(0.6..1.4);
        Wave::random(rng, centre, amplitude, speed)
    };
    let (x, y) = (axis(config.width), axis(config.height));
    let scale = config.size * side / item.side;
    let change = scale * config.size_change;
    let mut part = |low: f64, high: f64| rng.random_range(low..high);
    let (own, middle) = (change * part(0.3, 0.7), config.max_angle * part(-0.5, 0.5));
    let centre = scale + (change - own) * part(-1.0, 1.0);
    let scale = Wave::random(rng, centre, own, own * 0.06);
    let angle = Wave::random(rng, middle, config.max_angle * 0.5, config.turning);
    Motion { x, y, scale, angle }
}

/// A bright colour: its largest channel is 1.
fn random_tint(rng: &mut ChaCha8Rng) -> [f32; 3] {
    let tint = [(); 3].map(|()| rng.random_range(0.3_f32..1.0));
    let largest = tint.into_iter().fold(0.0, f32::max);
    tint.map(|it| it / largest)
}

#[cfg(test)]
mod tests;
