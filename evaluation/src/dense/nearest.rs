//! The most similar cells of a context.

/// A cell of a context frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Neighbour {
    pub(super) similarity: f32,
    /// The frame's place in the context.
    pub(super) frame: usize,
    pub(super) cell: usize,
}

/// The most similar of the cells that were offered, most similar first.
#[derive(Clone, Debug)]
pub(super) struct Nearest {
    count: usize,
    keep_ties: bool,
    kept: Vec<Neighbour>,
}

impl Nearest {
    /// Keeps `count` cells; with `keep_ties` also those that are as similar as the last of them.
    pub(super) fn new(count: usize, keep_ties: bool) -> Self {
        Self { count, keep_ties, kept: Vec::with_capacity(count + 1) }
    }

    #[inline]
    pub(super) fn offer(&mut self, new: Neighbour) {
        let is_full = self.kept.len() >= self.count;
        let last = |it: &Self| it.kept[it.count - 1].similarity;
        if is_full
            && !(new.similarity > last(self) || self.keep_ties && new.similarity == last(self))
        {
            return;
        }
        let place = self.kept.partition_point(|it| it.similarity >= new.similarity);
        self.kept.insert(place, new);
        if self.kept.len() > self.count {
            let last = last(self);
            let is_tied = |it: &Neighbour| it.similarity >= last;
            let end = if self.keep_ties { self.kept.partition_point(is_tied) } else { self.count };
            self.kept.truncate(end);
        }
    }

    /// The softmax of the similarities, divided by `temperature`, over the cells that were kept.
    pub(super) fn weights(&self, temperature: f32) -> Vec<(Neighbour, f32)> {
        let highest = self.kept.first().map_or(0.0, |it| it.similarity);
        let weight = |it: &Neighbour| ((it.similarity - highest) / temperature).exp();
        let sum: f32 = self.kept.iter().map(weight).sum();
        self.kept.iter().map(|it| (*it, weight(it) / sum)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(keep_ties: bool, offered: &[f32]) -> Vec<usize> {
        let mut nearest = Nearest::new(2, keep_ties);
        for (cell, &similarity) in offered.iter().enumerate() {
            nearest.offer(Neighbour { similarity, frame: 0, cell });
        }
        nearest.weights(1.0).iter().map(|(it, _)| it.cell).collect()
    }

    #[test]
    fn of_equal_cells_the_first_or_all_are_kept() {
        assert_eq!(kept(false, &[0.5, 0.1, 0.5, 0.5, 0.4]), [0, 2]);
        assert_eq!(kept(true, &[0.5, 0.1, 0.5, 0.5, 0.4]), [0, 2, 3]);
        assert_eq!(kept(true, &[0.5, 0.5, 0.5, 0.6]), [3, 0, 1, 2]);
        assert_eq!(kept(true, &[0.5, 0.5, 0.5, 0.6, 0.7]), [4, 3]);
        assert_eq!(kept(false, &[0.1]), [0]);
    }
}
