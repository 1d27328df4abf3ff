//! The rotation, scale and shift that most points agree on.

use rand::{Rng, RngExt};

/// Where a point was and where it is, in pixels from the middle of the frame.
pub(super) type PointPair = [[f64; 2]; 2];

/// Number of motions that are tried. If a quarter of the points belong to the scene, both points of
/// a trial do in 1 of 16 cases, and all trials fail in 3 of 10^6.
const TRIALS: usize = 200;

/// A point agrees with a motion that moves it to within this distance, in pixels.
const TOLERANCE: f64 = 0.75;

/// Points that must agree.
const MIN_POINTS: usize = 8;

/// Share of the points that must agree. Lost points agree with a random motion in about 3 of 100
/// cases: the tolerance's share of the area in which they are searched.
const MIN_SHARE: f64 = 0.25;

/// How far the agreeing points must be spread (root mean square distance from their middle, as a
/// share of the shorter side). A small patch cannot tell a rotation from a shift.
const MIN_SPREAD: f64 = 0.1;

/// `p` becomes `[[a, -b], [b, a]] p + shift`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Similarity {
    a: f64,
    b: f64,
    shift: [f64; 2],
}

/// Fits the motion that most pairs agree on (MSAC: Torr and Zisserman, 2000). Random pairs propose
/// motions, the one with the least error, cut off at the tolerance, wins, and all pairs that agree
/// are fitted together.
///
/// None when too few agree. `side` is the shorter side of the frame, in pixels.
pub(super) fn consensus(
    pairs: &[PointPair],
    side: f64,
    random: &mut impl Rng,
) -> Option<Similarity> {
    if pairs.len() < MIN_POINTS {
        return None;
    }
    let mut best = (f64::MAX, None);
    for _ in 0..TRIALS {
        let drawn = [(); 2].map(|()| pairs[random.random_range(0..pairs.len())]);
        let Some(proposed) = Similarity::fit(&drawn) else { continue };
        let cost = pairs.iter().map(|it| proposed.error(it).min(TOLERANCE * TOLERANCE)).sum();
        if cost < best.0 {
            best = (cost, Some(proposed));
        }
    }
    let mut found = best.1?;
    let agreeing = |it: &Similarity| -> Vec<PointPair> {
        pairs.iter().filter(|pair| it.error(pair) <= TOLERANCE * TOLERANCE).copied().collect()
    };
    // A motion that is fitted to more points agrees with more points.
    for _ in 0..3 {
        found = Similarity::fit(&agreeing(&found))?;
    }
    let agree = agreeing(&found);
    let enough = agree.len() >= MIN_POINTS && agree.len() as f64 >= MIN_SHARE * pairs.len() as f64;
    (enough && spread(&agree) >= MIN_SPREAD * side).then_some(found)
}

impl Similarity {
    /// Least squares. None when all points are in one place.
    pub(super) fn fit(pairs: &[PointPair]) -> Option<Self> {
        let [from, to] = [0, 1].map(|it| middle(pairs.iter().map(|pair| pair[it])));
        let (mut size, mut a, mut b) = (0.0, 0.0, 0.0);
        for [p, q] in pairs {
            let (p, q) = ([p[0] - from[0], p[1] - from[1]], [q[0] - to[0], q[1] - to[1]]);
            size += p[0] * p[0] + p[1] * p[1];
            a += p[0] * q[0] + p[1] * q[1];
            b += p[0] * q[1] - p[1] * q[0];
        }
        if size <= 1e-9 {
            return None;
        }
        let turned = Self { a: a / size, b: b / size, shift: [0.0; 2] };
        let [x, y] = turned.apply(from);
        Some(Self { shift: [to[0] - x, to[1] - y], ..turned })
    }

    pub(super) fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let Self { a, b, shift } = self;
        [a * x - b * y + shift[0], b * x + a * y + shift[1]]
    }

    /// Shift of the middle of the frame, in pixels.
    pub(super) fn shift(&self) -> [f64; 2] {
        self.shift
    }

    /// Rotation in radians, clockwise where `y` runs down.
    pub(super) fn angle(&self) -> f64 {
        self.b.atan2(self.a)
    }

    pub(super) fn scale(&self) -> f64 {
        self.a.hypot(self.b)
    }

    /// Squared distance, in pixels, between the moved point and the tracked one.
    fn error(&self, [from, to]: &PointPair) -> f64 {
        let [x, y] = self.apply(*from);
        (x - to[0]).powi(2) + (y - to[1]).powi(2)
    }
}

fn middle(points: impl Iterator<Item = [f64; 2]> + Clone) -> [f64; 2] {
    let count = points.clone().count().max(1) as f64;
    [0, 1].map(|axis| points.clone().map(|it| it[axis]).sum::<f64>() / count)
}

fn spread(pairs: &[PointPair]) -> f64 {
    let points = pairs.iter().map(|it| it[0]);
    let [x, y] = middle(points.clone());
    let squares = points.map(|it| (it[0] - x).powi(2) + (it[1] - y).powi(2)).sum::<f64>();
    (squares / pairs.len().max(1) as f64).sqrt()
}
