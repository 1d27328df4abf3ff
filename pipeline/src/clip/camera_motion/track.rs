//! Where a point of one frame is in the next: Lucas and Kanade, from coarse to fine.

use super::grey::{Grey, Pyramid};

/// Pixels to each side of a point that must look alike in both frames.
pub(super) const RADIUS: usize = 4;

/// Steps after which a level is left as it is.
const STEPS: usize = 12;

/// A step shorter than this, in pixels, is the last.
const ENOUGH: f32 = 0.01;

/// Where the surroundings of a point are in the next frame. None where it leaves the picture, or
/// is lost.
pub(super) fn track(before: &Pyramid, after: &Pyramid, point: [f32; 2]) -> Option<[f32; 2]> {
    let mut shift = [0.0; 2];
    let levels = before.levels().iter().zip(after.levels()).enumerate().rev();
    for (level, (before, after)) in levels {
        let scale = (1 << level) as f32;
        // The middle of a coarse pixel lies between the fine ones that it is the mean of.
        let at = point.map(|it| (it + 0.5) / scale - 0.5);
        let start = shift.map(|it: f32| it * 2.0);
        shift = match Patch::of(before, at).moved(after, start) {
            Some(found) => found,
            // Flat when seen from afar: a finer level may know more.
            None if level > 0 => start,
            None => return None,
        };
    }
    let found = [point[0] + shift[0], point[1] + shift[1]];
    after.finest().contains(found).then_some(found)
}

/// The surroundings of a point.
struct Patch {
    /// Points, light there, and how light changes to the right and down.
    samples: Vec<([f32; 2], f32, [f32; 2])>,
    /// Sums of the squares and the product of the changes: `xx, xy, yy`.
    tensor: [f32; 3],
}

impl Patch {
    fn of(image: &Grey, centre: [f32; 2]) -> Self {
        let reach = RADIUS as i32;
        let mut samples = Vec::with_capacity((2 * RADIUS + 1).pow(2));
        let mut tensor = [0.0; 3];
        for down in -reach..=reach {
            for across in -reach..=reach {
                let at @ [x, y] = [centre[0] + across as f32, centre[1] + down as f32];
                let change_x = (image.at([x + 1.0, y]) - image.at([x - 1.0, y])) / 2.0;
                let change_y = (image.at([x, y + 1.0]) - image.at([x, y - 1.0])) / 2.0;
                samples.push((at, image.at(at), [change_x, change_y]));
                tensor[0] += change_x * change_x;
                tensor[1] += change_x * change_y;
                tensor[2] += change_y * change_y;
            }
        }
        Self { samples, tensor }
    }

    /// How far it moved, sought from `start` on. None where there is no texture to tell, and
    /// where the search runs away.
    fn moved(&self, image: &Grey, start: [f32; 2]) -> Option<[f32; 2]> {
        let [xx, xy, yy] = self.tensor;
        let determinant = xx * yy - xy * xy;
        if determinant <= 1e-3 * (xx + yy).powi(2) || determinant <= f32::EPSILON {
            return None;
        }
        let mut shift = start;
        for _ in 0..STEPS {
            let (mut x, mut y) = (0.0, 0.0);
            for (at, light, change) in &self.samples {
                let error = light - image.at([at[0] + shift[0], at[1] + shift[1]]);
                x += error * change[0];
                y += error * change[1];
            }
            let step = [(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant];
            shift = [shift[0] + step[0], shift[1] + step[1]];
            if (shift[0] - start[0]).hypot(shift[1] - start[1]) > 2.0 * RADIUS as f32 {
                return None;
            }
            if step[0].hypot(step[1]) < ENOUGH {
                break;
            }
        }
        Some(shift)
    }
}
