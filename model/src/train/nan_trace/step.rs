//! A step that looks at all its numbers.

use super::NotFinite;
use super::watched::{self, First};
use crate::method::Method;
use crate::train::{MethodTrainer, data_parallel, nan_trace};
use crate::{Clips, EncoderChoice};

impl<M: Method> MethodTrainer<M> {
    /// [`Trainer::trace`](crate::Trainer::trace).
    pub(crate) fn look_for_the_first(&mut self, clips: &Clips) -> Vec<NotFinite> {
        self.step += 1;
        let mut found = nan_trace::weights(self.student(), "before the step");
        found.extend(clips.not_finite());
        if !found.is_empty() {
            return found;
        }
        let (seen, grads) = self.gradients(clips, data_parallel::parts(&self.device), true);
        let wrong = seen.values().into_iter().filter(|it| !it.1.is_finite());
        found.extend(wrong.map(|(name, _)| NotFinite { what: name, wrong: 1, of: 1 }));
        if found.is_empty() {
            found = nan_trace::gradients(self.student(), &grads);
        }
        if found.is_empty() {
            self.learn(grads);
            return nan_trace::weights(self.student(), "after the step");
        }
        // Once more in one part, which is worked on by this thread.
        let layer = watched::first(|| drop(self.gradients(clips, 1, false)));
        layer.map(|it| self.output_of(it)).into_iter().chain(found).collect()
    }

    /// What a layer gave, under its name.
    fn output_of(&self, First { weight, found }: First) -> NotFinite {
        let of_student =
            nan_trace::layer(self.student(), weight).map(|it| format!("the output of {it}"));
        let of_teacher = || {
            let encoder = self.method.encoder(self.student(), EncoderChoice::Teacher);
            let name = nan_trace::layer(&encoder, weight);
            // An encoder's first name is that of its kind.
            let name = name.and_then(|it| Some(it.split_once('.')?.1.to_owned()));
            name.map_or_else(
                || "the output of a layer of the teacher".to_owned(),
                |it| format!("the output of the teacher's {it}"),
            )
        };
        NotFinite { what: of_student.unwrap_or_else(of_teacher), ..found }
    }
}
