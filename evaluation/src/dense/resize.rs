//! Which pixels of one size are those of another, along one side of an image.

/// For each of `to` pixels the one of `from` pixels at its centre, as Pillow's `NEAREST`.
pub(super) fn nearest_centre(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    // Pillow adds the step up. A product rounds otherwise where a centre is between two pixels.
    let centres = std::iter::successors(Some(step / 2.0), |it| Some(it + step));
    centres.take(to).map(|it| (it as usize).min(from - 1)).collect()
}

/// For each of `to` pixels the one of `from` pixels at its beginning, as OpenCV's `INTER_NEAREST`.
pub(super) fn nearest_corner(from: usize, to: usize) -> Vec<usize> {
    // OpenCV inverts the inverted scale.
    let step = 1.0 / (to as f64 / from as f64);
    (0..to).map(|it| ((it as f64 * step) as usize).min(from - 1)).collect()
}

/// A pixel between two others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Between {
    pub(super) first: usize,
    pub(super) second: usize,
    /// The weight of the second.
    pub(super) share: f32,
}

impl Between {
    /// Both with their weights.
    pub(super) fn taps(self) -> [(usize, f32); 2] {
        [(self.first, 1.0 - self.share), (self.second, self.share)]
    }
}

/// For each of `to` pixels the two of `from` pixels around its centre, as PyTorch's `bilinear`
/// without aligned corners and OpenCV's `INTER_LINEAR`. Where it shrinks nothing is smoothed.
pub(super) fn bilinear(from: usize, to: usize) -> Vec<Between> {
    let step = from as f64 / to as f64;
    let between = |it: usize| {
        let centre = ((it as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
        let first = centre as usize;
        let share = (centre - first as f64) as f32;
        Between { first, second: (first + 1).min(from - 1), share }
    };
    (0..to).map(between).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Cases {
        sides: Vec<Side>,
    }

    /// Which pixel is taken, as jumps of the given width at the given places; elsewhere it is 1.
    #[derive(Deserialize)]
    struct Side {
        before: usize,
        after: usize,
        pillow: Vec<(usize, i32)>,
        opencv: Vec<(usize, i32)>,
    }

    fn taken(jumps: &[(usize, i32)], after: usize) -> Vec<usize> {
        let mut steps = vec![1; after];
        jumps.iter().for_each(|&(at, step)| steps[at] = step);
        let places = steps.iter().scan(-1, |at, step| {
            *at += step;
            Some(*at as usize)
        });
        places.collect()
    }

    #[test]
    fn pillow_and_opencv_take_the_same_pixels() {
        let text = include_str!("../../tests/data/propagation.json");
        let cases: Cases = serde_json::from_str(text).unwrap();
        for Side { before, after, pillow, opencv } in cases.sides {
            assert_eq!(nearest_centre(before, after), taken(&pillow, after), "{before} {after}");
            assert_eq!(nearest_corner(before, after), taken(&opencv, after), "{before} {after}");
        }
    }

    #[test]
    fn the_centre_and_the_corner_are_different_pixels() {
        assert_eq!(nearest_centre(6, 2), [1, 4]);
        assert_eq!(nearest_corner(6, 2), [0, 3]);
        assert_eq!(nearest_centre(2, 5), [0, 0, 1, 1, 1]);
        assert_eq!(nearest_corner(2, 5), [0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_ramp_stays_a_ramp_inside_and_ends_flat() {
        let at: Vec<_> = bilinear(3, 6).iter().map(|it| it.first as f32 + it.share).collect();
        assert_eq!(at, [0.0, 0.25, 0.75, 1.25, 1.75, 2.0]);
    }
}
