//! Region similarity J and boundary accuracy F of masks, as the toolkit of DAVIS 2017 computes them
//! for the semi-supervised task (davis2017-evaluation, commit ac7c43f: `metrics.py`,
//! `evaluation.py` and `utils.py`; Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv 1704.00675).

use rayon::prelude::*;
use serde::Serialize;

use super::Mask;

/// What a measure was over the frames of one object, or the mean of that over objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// The mean over frames.
    pub mean: f64,
    /// The share of frames with more than 0.5.
    pub recall: f64,
    /// The mean of the first quarter of the frames less that of the last: how much was lost on the
    /// way.
    pub decay: f64,
}

/// The scores of one object in one video.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ObjectScore {
    /// Region similarity J, from 0 to 1.
    pub j: Statistics,
    /// Boundary accuracy F, from 0 to 1.
    pub f: Statistics,
}

/// The scores of a video: object 1, object 2 and so on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VideoScore {
    /// One score per object of the first true mask.
    pub objects: Vec<ObjectScore>,
}

/// The scores of a set of videos. Every object counts the same, however many its video has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DatasetScore {
    /// The mean of J's and F's means, which is the number that papers report.
    pub j_and_f: f64,
    /// J, with each statistic averaged over objects.
    pub j: Statistics,
    /// F, with each statistic averaged over objects.
    pub f: Statistics,
    /// Number of objects.
    pub objects: usize,
}

impl DatasetScore {
    /// The mean over all objects of all videos; nothing if there is no object.
    pub fn new(videos: &[VideoScore]) -> Option<Self> {
        let objects: Vec<_> = videos.iter().flat_map(|it| &it.objects).collect();
        if objects.is_empty() {
            return None;
        }
        let j = Statistics::mean_of(objects.iter().map(|it| it.j));
        let f = Statistics::mean_of(objects.iter().map(|it| it.f));
        Some(Self { j_and_f: (j.mean + f.mean) / 2.0, j, f, objects: objects.len() })
    }
}

impl Statistics {
    /// The toolkit's `db_statistics`, with one difference: there, the borders of the quarters are
    /// stored in eight bits, so that videos with more than 256 scored frames get a wrong decay.
    /// Here they do not.
    fn new(per_frame: &[f64]) -> Self {
        let last = (per_frame.len() - 1) as f64;
        // The toolkit counts from 1, and rounds a half to the even number after it added 1e-10.
        let border =
            |quarter: f64| (1.0 + quarter * (last / 4.0) + 1e-10).round_ties_even() as usize - 1;
        let first = &per_frame[..=border(1.0)];
        let end = &per_frame[border(3.0)..];
        let recalled = per_frame.iter().filter(|&&it| it > 0.5).count();
        Self {
            mean: mean(per_frame),
            recall: recalled as f64 / per_frame.len() as f64,
            decay: mean(first) - mean(end),
        }
    }

    fn mean_of(all: impl Iterator<Item = Self> + Clone) -> Self {
        let mean = |value: fn(Self) -> f64| mean(&all.clone().map(value).collect::<Vec<_>>());
        Self { mean: mean(|it| it.mean), recall: mean(|it| it.recall), decay: mean(|it| it.decay) }
    }
}

/// Scores the predicted masks of a video.
///
/// The first and the last frame are not scored. The objects are 1 to the highest index of the first
/// true mask; one that appears later is not scored. Void pixels of the truth are background, as in
/// the toolkit: it ignores them only in the unsupervised task.
///
/// # Panics
/// If the two differ in length or size, if there are fewer than three frames, or if a scored mask
/// has an object that the first true mask does not have. The toolkit ends there, too.
pub fn evaluate_video(truth: &[Mask], predicted: &[Mask]) -> VideoScore {
    assert_eq!(truth.len(), predicted.len(), "one predicted mask per true one");
    assert!(truth.len() > 2, "a frame between the first and the last");
    let objects = truth[0].highest_object();
    let scored = 1..truth.len() - 1;
    for mask in &predicted[scored.clone()] {
        let highest = mask.indices.iter().max();
        assert!(highest <= Some(&objects), "object {highest:?} of {objects}");
    }

    let score = |object| {
        let (j, f): (Vec<_>, Vec<_>) = scored
            .clone()
            .into_par_iter()
            .map(|frame| {
                let (truth, predicted) = (&truth[frame], &predicted[frame]);
                let j = region_similarity(truth, predicted, object);
                (j, boundary_accuracy(truth, predicted, object))
            })
            .unzip();
        ObjectScore { j: Statistics::new(&j), f: Statistics::new(&f) }
    };
    VideoScore { objects: (1..=objects).map(score).collect() }
}

/// Region similarity J of one object: intersection over union, and 1 where both are empty.
///
/// # Panics
/// If the sizes differ.
pub fn region_similarity(truth: &Mask, predicted: &Mask, object: u8) -> f64 {
    assert_same_size(truth, predicted);
    let (mut intersection, mut union) = (0_u32, 0_u32);
    for (&truth, &predicted) in truth.indices.iter().zip(&predicted.indices) {
        intersection += u32::from(truth == object && predicted == object);
        union += u32::from(truth == object || predicted == object);
    }
    if union == 0 { 1.0 } else { f64::from(intersection) / f64::from(union) }
}

/// Boundary accuracy F of one object: the harmonic mean of the shares of either boundary that lie
/// near the other, and 1 where both are empty.
///
/// Near is a distance of at most 0.8 % of the image's diagonal, rounded up to pixels.
///
/// # Panics
/// If the sizes differ.
pub fn boundary_accuracy(truth: &Mask, predicted: &Mask, object: u8) -> f64 {
    assert_same_size(truth, predicted);
    let (width, height) = (truth.width, truth.height);
    let diagonal = ((width * width + height * height) as f64).sqrt();
    let radius = (0.008 * diagonal).ceil() as usize;
    let truth = Boundary::of(&truth.object(object), width);
    let predicted = Boundary::of(&predicted.object(object), width);

    let (precision, recall) = match (predicted.length, truth.length) {
        (0, 0) => (1.0, 1.0),
        (0, _) => (1.0, 0.0),
        (_, 0) => (0.0, 1.0),
        _ => (predicted.share_near(&truth, radius), truth.share_near(&predicted, radius)),
    };
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

/// The pixels at an object's boundary.
struct Boundary {
    width: usize,
    pixels: Vec<bool>,
    length: usize,
}

impl Boundary {
    /// Pixels that differ from the one to the right, below, or below to the right, as in the
    /// toolkit's `_seg2bmap`. In the last row only the right one counts, in the last column the one
    /// below, and the corner is no boundary.
    fn of(object: &[bool], width: usize) -> Self {
        let height = object.len() / width;
        let at = |y: usize, x: usize| object[y.min(height - 1) * width + x.min(width - 1)];
        let pixels: Vec<_> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (y, x)))
            .map(|(y, x)| {
                [(y, x + 1), (y + 1, x), (y + 1, x + 1)].iter().any(|&(v, u)| at(v, u) != at(y, x))
            })
            .collect();
        let length = pixels.iter().filter(|&&it| it).count();
        Self { width, pixels, length }
    }

    /// The share of this boundary that lies within `radius` of the other.
    ///
    /// The toolkit dilates the other boundary with a disc. Here each pixel looks for the nearest
    /// one in the rows around it, which gives the same and is linear in the radius.
    fn share_near(&self, other: &Self, radius: usize) -> f64 {
        let height = self.pixels.len() / self.width;
        let reach = other.distances_in_rows();
        let near = |y: usize, x: usize| {
            let rows = y.saturating_sub(radius)..(y + radius + 1).min(height);
            rows.into_iter().any(|row| {
                let (down, right) = (row.abs_diff(y), reach[row * self.width + x] as usize);
                down * down + right * right <= radius * radius
            })
        };
        let boundary = self.pixels.iter().enumerate().filter(|(_, is_boundary)| **is_boundary);
        let matched = boundary.filter(|(at, _)| near(at / self.width, at % self.width)).count();
        matched as f64 / self.length as f64
    }

    /// The distance of every pixel to the nearest boundary pixel of its row.
    fn distances_in_rows(&self) -> Vec<u32> {
        // Far beyond any radius, and its square still fits.
        const FAR: u32 = 1 << 20;
        let mut distances: Vec<u32> =
            self.pixels.iter().map(|&it| if it { 0 } else { FAR }).collect();
        for row in distances.chunks_exact_mut(self.width) {
            for x in 1..row.len() {
                row[x] = row[x].min(row[x - 1] + 1);
            }
            for x in (1..row.len()).rev() {
                row[x - 1] = row[x - 1].min(row[x] + 1);
            }
        }
        distances
    }
}

fn assert_same_size(truth: &Mask, predicted: &Mask) {
    let size = |it: &Mask| (it.width, it.height);
    assert_eq!(size(truth), size(predicted), "masks of one size");
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
