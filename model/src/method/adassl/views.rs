//! The views of AdaSSL: x, its target y, and the third view that r is inferred from.

use burn::tensor::Tensor;

use super::{AdaSsl, Directions, Objective, ThirdView};
use crate::Clips;
use crate::method::two_views::augmented;
use crate::train::data_parallel::StepContext;

/// The index of x among the views.
pub(super) const X: usize = 0;
/// The index of y among the views.
pub(super) const Y: usize = 1;
/// The index of the third view for the prediction of y.
pub(super) const THIRD_OF_Y: usize = 2;
/// The index of the third view for the prediction of x.
pub(super) const THIRD_OF_X: usize = 3;

impl AdaSsl {
    /// x, y, and the third view of each predicted target: `[n, views, 3 · window, h, w]`.
    pub(super) fn views(&self, clips: &Clips, context: &StepContext) -> Tensor<5> {
        let w = self.window;
        let starts: &[usize] = match (self.config.third_view, self.config.directions) {
            (ThirdView::None, _) => &[0, 1],
            (ThirdView::Next, _) => &[0, 1, 2],
            (ThirdView::Augmented, Directions::Forward) => &[0, 1, 1],
            (ThirdView::Augmented, Directions::Both) => &[0, 1, 1, 0],
        };
        let views = starts.iter().map(|it| clips.window(it * w, w).unsqueeze_dim::<5>(1));
        let views = Tensor::cat(views.collect(), 1);
        match &self.config.augment {
            Some(augment) => augmented(views, augment, self.seed, context),
            None => views,
        }
    }

    /// The views that the student encodes, and those that the teacher encodes. Each encodes only
    /// what it needs, because every view counts in the statistics of its batch norms.
    pub(super) fn encoded_views(&self) -> [Vec<usize>; 2] {
        let both = self.config.directions == Directions::Both;
        let thirds = match self.config.third_view {
            ThirdView::None => 0,
            ThirdView::Augmented if both => 2,
            ThirdView::Next | ThirdView::Augmented => 1,
        };
        let all = Y + 1 + thirds;
        if self.config.objective == Objective::Contrastive {
            return [(0..all).collect(), Vec::new()];
        }
        let student = (0..all).filter(|it| *it != Y || both).collect();
        [student, if both { vec![X, Y] } else { vec![Y] }]
    }
}

/// The views `wanted` of `[n, views, ..]`.
pub(super) fn select(views: &Tensor<5>, wanted: &[usize]) -> Tensor<5> {
    let wanted = wanted.iter().map(|it| views.clone().narrow(1, *it, 1));
    Tensor::cat(wanted.collect(), 1)
}
