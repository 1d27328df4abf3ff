//! The background of a video: a window that moves slowly over a texture.

use std::borrow::Cow;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::image::{Picture, Texture};
use super::motion::Wave;

/// The share of the largest window that fits into the texture. The rest is room to pan.
const WINDOW: f64 = 0.6;

#[derive(Clone, Debug)]
pub(crate) struct Background<'a> {
    texture: Cow<'a, Texture>,
    frame: [f64; 2],
    x: Wave,
    y: Wave,
    /// Pixels of the texture in a pixel of the frame.
    step: Wave,
    softness: f64,
}

/// How a background moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pan {
    /// Pixels of the frame per frame, in x and in y.
    pub(crate) speed: f64,
    /// The largest relative change of the window's size.
    pub(crate) zoom: f64,
    /// Details smaller than this many pixels of the frame are smoothed away; 1 keeps them all.
    pub(crate) softness: f64,
}

/// The window at one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    centre: [f64; 2],
    frame_centre: [f64; 2],
    step: f64,
}

impl<'a> Background<'a> {
    pub(crate) fn random(
        texture: Cow<'a, Texture>,
        [width, height]: [usize; 2],
        pan: Pan,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let frame = [width as f64, height as f64];
        let size = [texture.width() as f64, texture.height() as f64];
        let step = WINDOW * (size[0] / frame[0]).min(size[1] / frame[1]);
        let mut axis = |axis: usize| {
            let margin = (size[axis] - step * (1.0 + pan.zoom) * frame[axis]) / 2.0;
            let amplitude = margin * rng.random_range(0.4..0.8);
            let rest = margin - amplitude;
            let centre = (size[axis] - 1.0) / 2.0 + rng.random_range(-1.0..1.0) * rest;
            Wave::random(rng, centre, amplitude, pan.speed * step)
        };
        let (x, y) = (axis(0), axis(1));
        let zoom_speed = pan.speed / frame[0].min(frame[1]) * step;
        let step = Wave::random(rng, step, step * pan.zoom, zoom_speed);
        Self { texture, frame, x, y, step, softness: pan.softness }
    }

    pub(crate) fn view(&self, frame: usize) -> View {
        let centre = [self.x.at(frame), self.y.at(frame)];
        let frame_centre = self.frame.map(|it| (it - 1.0) / 2.0);
        View { centre, frame_centre, step: self.step.at(frame) }
    }

    /// The colours of a whole frame, row by row.
    pub(crate) fn draw(&self, view: &View) -> Vec<[f32; 3]> {
        let sampler = self.texture.sampler(view.step * self.softness);
        let [width, height] = self.frame.map(|it| it as usize);
        let mut colours = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let [x, y] = view.locate([column as f64, row as f64]);
                colours.push(sampler.sample(x, y));
            }
        }
        colours
    }
}

impl View {
    /// The point of the texture that is at a point of the frame.
    pub(crate) fn locate(&self, point: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|it| self.centre[it] + (point[it] - self.frame_centre[it]) * self.step)
    }

    /// The point of the frame that shows a point of the texture.
    pub(crate) fn place(&self, point: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|it| self.frame_centre[it] + (point[it] - self.centre[it]) / self.step)
    }
}

/// A texture of smooth random colours, none brighter than `brightest`.
pub(crate) fn noise(brightest: f32, rng: &mut ChaCha8Rng) -> Texture {
    const SIDE: usize = 96;
    let mut octave = |side: usize| {
        Picture::from_fn(side, side, |_, _| [(); 3].map(|()| rng.random())).resized(SIDE, SIDE)
    };
    let (coarse, fine) = (octave(5), octave(17));
    let mixed = |it: &[u8; 3], fine: &[u8; 3]| {
        [0, 1, 2].map(|c| {
            let value = 0.65 * f32::from(it[c]) + 0.35 * f32::from(fine[c]);
            super::image::byte(value / 255.0 * brightest)
        })
    };
    Texture::new(&Picture::from_fn(SIDE, SIDE, |x, y| {
        mixed(&coarse.pixel(x, y), &fine.pixel(x, y))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::random::{Purpose, generator};

    #[test]
    fn the_window_stays_inside_the_texture() {
        for (index, (width, height)) in [(100, 40), (40, 100), (64, 64)].into_iter().enumerate() {
            let texture = Texture::new(&Picture::from_fn(width, height, |_, _| [9; 3]));
            let mut rng = generator(1, Purpose::Scene, index as u64);
            let pan = Pan { speed: 3.0, zoom: 0.2, softness: 1.0 };
            let background = Background::random(Cow::Owned(texture), [32, 24], pan, &mut rng);
            for frame in 0..500 {
                let view = background.view(frame);
                for [x, y] in [[-0.5, -0.5], [31.5, 23.5]].map(|corner| view.locate(corner)) {
                    assert!(x >= -0.5 && x <= width as f64 - 0.5, "x {x} of {width}");
                    assert!(y >= -0.5 && y <= height as f64 - 0.5, "y {y} of {height}");
                }
            }
        }
    }

    #[test]
    fn placing_undoes_locating() {
        let mut rng = generator(3, Purpose::Scene, 0);
        let texture = noise(200.0, &mut rng);
        let pan = Pan { speed: 1.0, zoom: 0.1, softness: 1.0 };
        let background = Background::random(Cow::Owned(texture), [32, 24], pan, &mut rng);
        let view = background.view(9);
        let [x, y] = view.place(view.locate([30.0, 2.0]));
        assert!((x - 30.0).abs() < 1e-12 && (y - 2.0).abs() < 1e-12);
    }

    #[test]
    fn noise_is_colourful_and_no_brighter_than_asked() {
        let texture = noise(120.0, &mut generator(1, Purpose::Noise, 0));
        let sampler = texture.sampler(1.0);
        let values: Vec<_> = (0..96).flat_map(|it| sampler.sample(it as f64, 40.0)).collect();
        assert!(values.iter().all(|it| *it <= 120.0));
        let (low, high) = values
            .iter()
            .fold((255.0_f32, 0.0_f32), |(low, high), it| (low.min(*it), high.max(*it)));
        assert!(high - low > 40.0, "values from {low} to {high}");
    }
}
