//! When clips start, and which frame is nearest to a time.

/// Containers round their time stamps to milliseconds. A frame may lie this much, in seconds, more
/// than half a frame gap away from the time that it stands for.
const ROUNDING: f64 = 0.005;

/// The starts of clips: `anchor + k * hop`.
#[derive(Debug)]
pub(crate) struct Grid {
    anchor: f64,
    hop: f64,
    next: u64,
    /// Starts that are still to be given.
    left: u64,
}

/// The times that a frame is the nearest one to: after those of the previous frame, up to `until`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// When the frame is shown, in seconds.
    pub(crate) time: f64,
    /// Halfway to the next frame, in seconds.
    pub(crate) until: f64,
    /// Largest error allowed, in seconds.
    pub(crate) tolerance: f64,
}

/// How a frame relates to a time that a clip needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Match {
    /// A later frame is nearer.
    Later,
    /// It is the nearest frame.
    Nearest,
    /// It is the nearest frame, but too far away, or also the nearest to the following time.
    Missed,
}

impl Reach {
    /// The reach of a frame, given the median gap between frames.
    pub(crate) fn new(time: f64, until: f64, gap: f64) -> Self {
        Self { time, until, tolerance: gap / 2.0 + ROUNDING }
    }

    /// Compares the frame with the time `target`; the following time is `interval` later.
    pub(crate) fn compare(&self, target: f64, interval: f64) -> Match {
        if target > self.until {
            return Match::Later;
        }
        let shared = target + interval <= self.until;
        let far = (target - self.time).abs() > self.tolerance;
        if shared || far { Match::Missed } else { Match::Nearest }
    }
}

impl Grid {
    pub(crate) fn new(anchor: f64, hop: f64) -> Self {
        Self { anchor, hop, next: 0, left: u64::MAX }
    }

    /// The same, with at most `left` starts.
    pub(crate) fn limited(self, left: u64) -> Self {
        Self { left, ..self }
    }

    /// The start that this frame is the nearest one to. Of several, it is the one nearest to the
    /// frame; the others are skipped because their clips would hold the same frames.
    pub(crate) fn start(&mut self, reach: &Reach) -> Option<f64> {
        let next = self.next as f64;
        let last = ((reach.until - self.anchor) / self.hop).floor();
        if last < next || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let nearest = ((reach.time - self.anchor) / self.hop).round().clamp(next, last);
        self.next = last as u64 + 1;
        Some(self.anchor + nearest * self.hop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_given_once_to_its_nearest_frame() {
        let mut grid = Grid::new(10.0, 0.2);
        let starts: Vec<_> = (0..11)
            .map(|it| 10.0 + f64::from(it) * 0.04)
            .filter_map(|time| grid.start(&Reach::new(time, time + 0.02, 0.04)))
            .collect();
        let expected = [10.0, 10.2, 10.4];
        assert_eq!(starts.len(), expected.len(), "{starts:?}");
        assert!(starts.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{starts:?}");
    }

    #[test]
    fn starts_closer_than_frames_collapse() {
        let mut grid = Grid::new(0.0, 0.001);
        let reach = |time: f64| Reach::new(time, time + 0.02, 0.04);
        assert!((grid.start(&reach(0.04)).unwrap() - 0.04).abs() < 1e-9);
        assert_eq!(grid.start(&Reach::new(0.05, 0.06, 0.04)), None);
        assert!((grid.start(&reach(0.08)).unwrap() - 0.08).abs() < 1e-9);
    }

    #[test]
    fn a_target_too_far_or_shared_is_missed() {
        let reach = Reach::new(1.0, 1.2, 0.04);
        assert_eq!(reach.compare(1.01, 0.5), Match::Nearest);
        assert_eq!(reach.compare(1.03, 0.5), Match::Missed);
        assert_eq!(reach.compare(1.0, 0.1), Match::Missed);
        assert_eq!(reach.compare(1.3, 0.5), Match::Later);
    }
}
