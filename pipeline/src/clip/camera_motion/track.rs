//! Tracks points from one frame to the next (Lucas and Kanade, 1981), from coarse to fine.

use super::grey::{Grey, Pyramid};

/// Half the side of the patch that is compared, in pixels.
pub(super) const RADIUS: usize = 4;

/// Most steps on one level of the pyramid.
const STEPS: usize = 12;

/// The search ends at a step shorter than this, in pixels.
const ENOUGH: f32 = 0.01;

/// Where a point of `before` is in `after`. None when it leaves the frame or is lost.
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
            // The patch is flat on this level, but may have texture on a finer one.
            None if level > 0 => start,
            None => return None,
        };
    }
    let found = [point[0] + shift[0], point[1] + shift[1]];
    after.finest().contains(found).then_some(found)
}

/// The patch around a point.
struct Patch {
    /// Points, their brightness, and its gradient to the right and down.
    samples: Vec<([f32; 2], f32, [f32; 2])>,
    /// The structure tensor: sums of squares and the product of the gradients, `xx, xy, yy`.
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

    /// How far it moved, searched from `start`. None when it has too little texture, or the search
    /// diverges.
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
