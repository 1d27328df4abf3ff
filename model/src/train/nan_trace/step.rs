//! A training step that checks all its numbers.

use super::NotFinite;
use super::watched::{self, First};
use crate::Clips;
use crate::method::{Method, Teacher as _};
use crate::train::{MethodTrainer, data_parallel, nan_trace};

impl<M: Method> MethodTrainer<M> {
    /// [`Trainer::trace`](crate::Trainer::trace).
    pub(in crate::train) fn traced_step(&mut self, clips: &Clips) -> Vec<NotFinite> {
        self.step += 1;
        let mut found = nan_trace::weights(self.student(), "before the step");
        found.extend(clips.not_finite());
        if !found.is_empty() {
            return found;
        }
        let (metrics, grads) = self.gradients(clips, data_parallel::parts(&self.device), true);
        let wrong = metrics.values().into_iter().filter(|it| !it.1.is_finite());
        found.extend(wrong.map(|(name, _)| NotFinite { what: name, wrong: 1, of: 1 }));
        if found.is_empty() {
            found = nan_trace::gradients(self.student(), &grads);
        }
        if found.is_empty() {
            self.optimizer_step(grads);
            return nan_trace::weights(self.student(), "after the step");
        }
        // Again in one part, which runs on this thread, the one that is watched.
        let layer = watched::first(|| drop(self.gradients(clips, 1, false)));
        layer.map(|it| self.output_of(it)).into_iter().chain(found).collect()
    }

    /// The output of a layer, with the layer's name.
    fn output_of(&self, First { weight, found }: First) -> NotFinite {
        let of_student =
            nan_trace::layer(self.student(), weight).map(|it| format!("the output of {it}"));
        let of_teacher = || {
            let encoder = self.teacher.frame_encoder();
            let name = encoder.and_then(|it| nan_trace::layer(&it, weight));
            // The first part of the name is the kind of the encoder.
            let name = name.and_then(|it| Some(it.split_once('.')?.1.to_owned()));
            name.map_or_else(
                || "the output of a layer of the teacher".to_owned(),
                |it| format!("the output of the teacher's {it}"),
            )
        };
        NotFinite { what: of_student.unwrap_or_else(of_teacher), ..found }
    }
}
