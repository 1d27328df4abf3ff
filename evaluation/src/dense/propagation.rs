//! Propagates the labels of a video's first frame through the rest of it.
//!
//! Every cell of a frame takes the labels of the most similar cells in its context: frame 0, and
//! the frames before it with the labels that they were given. Which cells compete, and what they
//! weigh, is the [`Protocol`]'s.

use std::collections::VecDeque;
use std::ops::Range;

use rayon::prelude::*;

use super::nearest::{Nearest, Neighbour};
use super::similarity::{SIDE, TILE, TOGETHER, Tile};
use super::{Labels, Protocol, TokenGrid};

/// The labels of all frames, the first one's among them. Of the tokens only a context is held.
///
/// # Panics
/// As [`Propagation::new`] and [`Propagation::next_frame`].
pub fn propagate(
    frames: impl IntoIterator<Item = TokenGrid>,
    first: &Labels,
    protocol: &Protocol,
) -> Vec<Labels> {
    let mut frames = frames.into_iter();
    let Some(tokens) = frames.next() else { return Vec::new() };
    let mut propagation = Propagation::new(tokens, first.clone(), protocol.clone());
    let mut labels = vec![first.clone()];
    labels.extend(frames.map(|it| propagation.next_frame(it)));
    labels
}

/// A propagation through a video, which takes one frame after the other.
pub struct Propagation {
    protocol: Protocol,
    first: Frame,
    /// Oldest first; frame 0 is never among them.
    recent: VecDeque<Frame>,
}

struct Frame {
    tokens: TokenGrid,
    labels: Labels,
}

/// A frame in the context of another.
struct Source<'a> {
    frame: &'a Frame,
    restricted: bool,
    /// How often the frame is there.
    copies: usize,
}

impl Propagation {
    /// Begins with the tokens and the labels of frame 0.
    ///
    /// # Panics
    /// If they are of different grids, or `protocol` has no `top_k` or no positive temperature.
    pub fn new(tokens: TokenGrid, labels: Labels, protocol: Protocol) -> Self {
        assert_eq!(tokens.grid(), labels.grid(), "tokens and labels of one grid");
        assert!(protocol.top_k > 0 && protocol.temperature > 0.0, "top_k and temperature");
        Self { protocol, first: Frame { tokens, labels }, recent: VecDeque::new() }
    }

    /// The labels of the next frame.
    ///
    /// # Panics
    /// If its grid or dimension is not that of frame 0.
    pub fn next_frame(&mut self, tokens: TokenGrid) -> Labels {
        let first = &self.first.tokens;
        let size = |it: &TokenGrid| (it.grid(), it.dim());
        assert_eq!(size(first), size(&tokens), "frames of one grid and dimension");

        let labels = self.labels_of(&tokens);
        self.recent.push_back(Frame { tokens, labels: labels.clone() });
        if self.recent.len() > self.protocol.recent_frames {
            self.recent.pop_front();
        }
        labels
    }

    fn labels_of(&self, target: &TokenGrid) -> Labels {
        let (height, width) = target.grid();
        let classes = self.first.labels.classes();
        let context = self.context();
        let reach: Vec<_> =
            (0..height).map(|rows| self.protocol.neighbourhood.reach(rows)).collect();
        let corners: Vec<_> = (0..height)
            .step_by(SIDE)
            .flat_map(|y| (0..width).step_by(SIDE).map(move |x| (y, x)))
            .collect();

        let tiles: Vec<_> = corners
            .into_par_iter()
            .map(|(y, x)| {
                let tile = Tile::new(target, y, x);
                let nearest = self.nearest(&tile, &context, &reach);
                (tile.cells, nearest)
            })
            .collect();

        let mut values = vec![0.0; height * width * classes];
        for (cells, nearest) in tiles {
            for ((y, x), nearest) in cells.into_iter().zip(nearest) {
                let label = &mut values[(y * width + x) * classes..][..classes];
                for (it, weight) in nearest.weights(self.protocol.temperature) {
                    let source = context[it.frame].frame.labels.cell(it.cell);
                    label.iter_mut().zip(source).for_each(|(sum, it)| *sum += weight * it);
                }
            }
        }
        Labels::new(height, width, classes, values)
    }

    fn context(&self) -> Vec<Source<'_>> {
        let missing = self.protocol.recent_frames - self.recent.len();
        let copies = if self.protocol.repeat_first { missing } else { 0 };
        let restricted = self.protocol.restrict_first;
        let mut context = vec![Source { frame: &self.first, restricted, copies: 1 }];
        if copies > 0 {
            context.push(Source { frame: &self.first, restricted: true, copies });
        }
        let recent = self.recent.iter();
        context.extend(recent.map(|frame| Source { frame, restricted: true, copies: 1 }));
        context
    }

    /// The most similar cells of the context for each cell of the tile.
    fn nearest(
        &self,
        tile: &Tile,
        context: &[Source<'_>],
        reach: &[Option<usize>],
    ) -> Vec<Nearest> {
        let (height, width) = self.first.tokens.grid();
        let none = Nearest::new(self.protocol.top_k, self.protocol.keep_ties);
        let mut nearest = vec![none; tile.cells.len()];
        for (frame, source) in context.iter().enumerate() {
            for y in 0..height {
                let columns = tile_columns(tile, y, width, source.restricted.then_some(reach));
                let begin = columns.iter().map(|it| it.start).min().unwrap_or(0);
                let end = columns.iter().map(|it| it.end).max().unwrap_or(0);
                for x in (begin..end).step_by(TOGETHER) {
                    let cells = [x, x + 1, x + 2].map(|it| y * width + it.min(end - 1));
                    let dots = tile.dots(cells.map(|it| source.frame.tokens.token(it)));
                    for (x, (cell, dots)) in (x..end).zip(cells.into_iter().zip(dots)) {
                        for ((nearest, columns), similarity) in
                            nearest.iter_mut().zip(&columns).zip(dots)
                        {
                            if columns.contains(&x) {
                                let it = Neighbour { similarity, frame, cell };
                                (0..source.copies).for_each(|_| nearest.offer(it));
                            }
                        }
                    }
                }
            }
        }
        nearest
    }
}

/// The columns of row `y` that are near each cell of the tile. They are empty at the end of the
/// row where none is.
fn tile_columns(
    tile: &Tile,
    y: usize,
    width: usize,
    reach: Option<&[Option<usize>]>,
) -> [Range<usize>; TILE] {
    std::array::from_fn(|at| {
        let Some(&(row, column)) = tile.cells.get(at) else { return width..0 };
        let Some(reach) = reach else { return 0..width };
        let Some(reach) = reach[row.abs_diff(y)] else { return width..0 };
        column.saturating_sub(reach)..column.saturating_add(reach).saturating_add(1).min(width)
    })
}
