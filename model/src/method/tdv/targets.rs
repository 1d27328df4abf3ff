//! The teacher path of TDV: the next frame's tokens, and its distribution over the prototypes.

use burn::tensor::Tensor;

use super::{CLS, PATCHES, Tdv, Teacher};
use crate::Clips;
use crate::train::data_parallel;

/// What the teacher gives for a part.
pub(in crate::method) struct Targets {
    /// z̄: the next frame, `[pairs, 1 + patches, d]`.
    pub(super) next: Tensor<3>,
    /// The next frame on the sphere of the prototypes, `[pairs, 1 + patches, bottleneck]`.
    pub(super) points: Tensor<3>,
    /// The teacher's prototypes.
    pub(super) prototypes: Tensor<2>,
    /// The centres of the logits of `[CLS]` and of the patches.
    pub(super) centres: [Tensor<2>; 2],
}

impl Teacher {
    /// z̄ of all pairs of neighbouring frames (equation 5), and its points from the head.
    pub(super) fn forward(&self, clips: &Clips) -> [Tensor<3>; 2] {
        let pairs = clips.frames_per_clip() - 1;
        let next = self.teacher_encoder.forward(clips.frames(1, pairs));
        let [rows, tokens, _] = next.dims();
        let points = self.teacher_head.project(next.clone().flatten(0, 1));
        [next, points.reshape([rows as i32, tokens as i32, -1])]
    }
}

impl Tdv {
    /// The targets of all parts. The centre is shared by `[CLS]` and patches, and moves after each
    /// of the two.
    pub(in crate::method) fn targets(
        &mut self,
        teacher: &Teacher,
        parts: &[Clips],
    ) -> Vec<Targets> {
        let prototypes = teacher.teacher_head.prototypes();
        let outputs = data_parallel::map(parts.to_vec(), |part| teacher.forward(&part));
        let centres = [CLS, PATCHES].map(|select| {
            let points: Vec<_> = outputs.iter().map(|[_, points]| select(points)).collect();
            self.move_centre(&points, &prototypes)
        });
        let targets = outputs.into_iter().map(|[next, points]| {
            let (prototypes, centres) = (prototypes.clone(), centres.clone());
            Targets { next, points, prototypes, centres }
        });
        targets.collect()
    }

    /// Moves the centre towards the mean of the teacher's logits, and gives the previous one.
    ///
    /// A logit is linear in the point, so the mean point gives the mean logit.
    fn move_centre(&mut self, points: &[Tensor<3>], prototypes: &Tensor<2>) -> Tensor<2> {
        let all = Tensor::cat(points.to_vec(), 0).flatten::<2>(0, 1);
        let mean = all.mean_dim(0).matmul(prototypes.clone().transpose());
        let momentum = self.config.centre_momentum;
        let moved = self.centre.clone() * momentum + mean * (1.0 - momentum);
        std::mem::replace(&mut self.centre, moved)
    }
}
