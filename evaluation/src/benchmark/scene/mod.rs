//! Videos of objects that move over a panning background, with the exact truth of every pixel.

mod difficulty;

use std::borrow::Cow;

use rand::RngExt;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::background::{Background, Pan};
use super::image::{Texture, byte};
use super::motion::{Motion, Pose, Wave};
use super::objects::Object;
use super::random::{Purpose, generator};
pub use difficulty::Difficulty;
use difficulty::Settings;

/// What a scene is like.
#[derive(Clone, Copy, Debug)]
pub struct SceneConfig {
    /// Pixels in a row of a frame.
    pub width: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Number of frames.
    pub frames: usize,
    /// How hard it is to follow the objects.
    pub difficulty: Difficulty,
}

/// Draws the frames of one scene, one at a time.
#[derive(Clone, Debug)]
pub struct SceneVideo<'a> {
    config: SceneConfig,
    background: Background<'a>,
    /// From the farthest to the nearest.
    actors: Vec<(&'a Object, Motion)>,
    light: Wave,
    next: usize,
}

/// One frame and what is true in it.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneFrame {
    /// Red, green and blue of each pixel, row by row.
    pub rgb: Vec<u8>,
    /// The object at the centre of each pixel: 1 for the first of `states` and so on, and 0 for the
    /// background.
    pub mask: Vec<u8>,
    /// From the centre of each pixel to where the same point of its surface is in the next frame,
    /// in pixels. The last frame of a video has it too.
    pub flow: Vec<[f32; 2]>,
    /// The objects, from the farthest to the nearest.
    pub states: Vec<ObjectState>,
    /// The factor by which the light scales all colours, at most 1.
    pub light: f64,
}

/// An object in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ObjectState {
    /// The object's identity.
    pub identity: u32,
    /// Column of the centroid of its whole surface, hidden parts included; whole numbers are
    /// centres of pixels.
    pub x: f64,
    /// Row of the centroid.
    pub y: f64,
    /// Change of `x` to the next frame.
    pub vx: f64,
    /// Change of `y` to the next frame.
    pub vy: f64,
    /// Radius in pixels of a circle with the same area.
    pub scale: f64,
    /// Radians clockwise since the object was cut out. It counts whole turns, too.
    pub angle: f64,
    /// Number of objects in front of it, whether or not they touch.
    pub depth: usize,
    /// Share of its surface that is inside the frame and not hidden.
    pub visible_share: f64,
    /// Mean colour of its whole surface in the frame's light, in 0 to 255.
    pub mean_colour: [f32; 3],
}

impl<'a> SceneVideo<'a> {
    /// A scene whose background is one of `backgrounds`, with some of `objects`: fewer than the
    /// difficulty asks for if there are not enough. An object's `source` is the index of the
    /// background that it was cut from.
    ///
    /// # Panics
    /// If there is no background or the frames have no pixels.
    pub fn new(
        config: SceneConfig,
        backgrounds: &'a [Texture],
        objects: &'a [Object],
        seed: u64,
    ) -> Self {
        assert!(config.width > 0 && config.height > 0, "frames have pixels");
        let rng = &mut generator(seed, Purpose::Scene, 0);
        let settings = config.difficulty.settings();
        let side = config.width.min(config.height) as f64;
        let source = rng.random_range(0..backgrounds.len());
        let pan =
            Pan { speed: settings.pan * side, zoom: settings.zoom, softness: settings.softness };
        let size = [config.width, config.height];
        let background = Background::random(Cow::Borrowed(&backgrounds[source]), size, pan, rng);
        let count = rng.random_range(settings.objects[0]..=settings.objects[1]);
        let actors = choose(objects, source, count, settings.camouflage, rng)
            .into_iter()
            .map(|it| (it, random_motion(&settings, size, rng)))
            .collect();
        let light = (1.0 - settings.darkest) / 2.0;
        let light = Wave::random(rng, 1.0 - light, light, light * 0.05);
        Self { config, background, actors, light, next: 0 }
    }

    fn draw(&self, frame: usize) -> SceneFrame {
        let SceneConfig { width, height, .. } = self.config;
        let (view, next_view) = (self.background.view(frame), self.background.view(frame + 1));
        let mut canvas = Canvas {
            width,
            height,
            colours: self.background.draw(&view),
            mask: vec![0; width * height],
            flow: Vec::with_capacity(width * height),
        };
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |it| (row, it))) {
            let point = [column as f64, row as f64];
            canvas.flow.push(difference(next_view.place(view.locate(point)), point));
        }
        let light = self.light.at(frame);
        let mut states = Vec::with_capacity(self.actors.len());
        let mut surfaces = Vec::with_capacity(self.actors.len());
        for (index, (object, motion)) in self.actors.iter().enumerate() {
            let (pose, next) = (motion.pose(frame), motion.pose(frame + 1));
            surfaces.push(canvas.add(index as u8 + 1, object, &pose, &next));
            states.push(ObjectState {
                identity: object.identity,
                x: pose.x,
                y: pose.y,
                vx: next.x - pose.x,
                vy: next.y - pose.y,
                scale: pose.scale,
                angle: pose.angle,
                depth: self.actors.len() - 1 - index,
                visible_share: 0.0,
                mean_colour: object.mean_colour.map(|it| it * light as f32),
            });
        }
        let mut visible = vec![0_usize; states.len() + 1];
        canvas.mask.iter().for_each(|&it| visible[usize::from(it)] += 1);
        for ((state, whole), seen) in states.iter_mut().zip(surfaces).zip(&visible[1..]) {
            state.visible_share = *seen as f64 / whole.max(1) as f64;
        }
        let rgb = canvas.colours.iter().flat_map(|it| it.map(|it| byte(it * light as f32)));
        let rgb = rgb.collect();
        SceneFrame { rgb, mask: canvas.mask, flow: canvas.flow, states, light }
    }
}

impl Iterator for SceneVideo<'_> {
    type Item = SceneFrame;

    fn next(&mut self) -> Option<SceneFrame> {
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

impl ExactSizeIterator for SceneVideo<'_> {}

struct Canvas {
    width: usize,
    height: usize,
    colours: Vec<[f32; 3]>,
    mask: Vec<u8>,
    flow: Vec<[f32; 2]>,
}

impl Canvas {
    /// Draws an object over what is there, and returns how many pixels its whole surface takes,
    /// those beyond the frame included.
    fn add(&mut self, index: u8, object: &Object, pose: &Pose, next: &Pose) -> usize {
        let sampler = object.texture.sampler(object.texture_density() / pose.scale);
        let reach = object.outline.reach * pose.scale + 1.0;
        let range = |centre: f64| (centre - reach).floor() as i64..=(centre + reach).ceil() as i64;
        let mut surface = 0;
        for row in range(pose.y) {
            for column in range(pose.x) {
                let point = [column as f64, row as f64];
                let local = pose.locate(point);
                let inside = object.outline.distance(local) * pose.scale;
                surface += usize::from(inside >= 0.0);
                let in_frame = (0..self.width as i64).contains(&column)
                    && (0..self.height as i64).contains(&row);
                if inside <= -0.5 || !in_frame {
                    continue;
                }
                let pixel = row as usize * self.width + column as usize;
                let [x, y] = object.texture_point(local);
                let colour = sampler.sample(x, y);
                let cover = (inside + 0.5).min(1.0) as f32;
                let below = &mut self.colours[pixel];
                *below = [0, 1, 2].map(|c| below[c] + (colour[c] - below[c]) * cover);
                if inside >= 0.0 {
                    self.mask[pixel] = index;
                    self.flow[pixel] = difference(next.place(local), point);
                }
            }
        }
        surface
    }
}

fn difference(to: [f64; 2], from: [f64; 2]) -> [f32; 2] {
    [(to[0] - from[0]) as f32, (to[1] - from[1]) as f32]
}

/// At most `count` different objects. Each comes from the background's own picture with the
/// probability `camouflage` while there are any, and from the others otherwise.
fn choose<'a>(
    objects: &'a [Object],
    background: usize,
    count: usize,
    camouflage: f64,
    rng: &mut ChaCha8Rng,
) -> Vec<&'a Object> {
    let mut shuffled: Vec<_> = objects.iter().collect();
    shuffled.shuffle(rng);
    let (mut same, mut others): (Vec<_>, Vec<_>) =
        shuffled.into_iter().partition(|it| it.source == background);
    let mut draw = |_| {
        let hidden = rng.random_range(0.0..1.0) < camouflage;
        let (first, second) =
            if hidden { (&mut same, &mut others) } else { (&mut others, &mut same) };
        first.pop().or_else(|| second.pop())
    };
    (0..count).filter_map(&mut draw).collect()
}

fn random_motion(settings: &Settings, size: [usize; 2], rng: &mut ChaCha8Rng) -> Motion {
    let side = size[0].min(size[1]) as f64;
    let mut axis = |length: usize| {
        let length = length as f64;
        let centre = length * rng.random_range(0.35..0.65);
        let amplitude = length * rng.random_range(0.2..0.35);
        let speed = side * settings.speed * rng.random_range(0.7..1.3);
        Wave::random(rng, centre, amplitude, speed)
    };
    let (x, y) = (axis(size[0]), axis(size[1]));
    let radius = side * rng.random_range(settings.radius[0]..settings.radius[1]);
    let change = radius * settings.size_change;
    let scale = Wave::random(rng, radius, change, change * 0.08);
    let sense = if rng.random_range(0.0..1.0) < 0.5 { -1.0 } else { 1.0 };
    let turning = settings.turning * rng.random_range(0.7..1.3);
    let angle = rng.random_range(-std::f64::consts::PI..std::f64::consts::PI);
    let angle = Wave::random(rng, angle, 10.0 * turning, 0.4 * turning).drifting(sense * turning);
    Motion { x, y, scale, angle }
}

#[cfg(test)]
mod tests;
