//! Cosines of patch tokens, many at a time.

use crate::Vectors;

/// The patch tokens of one frame, each of length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenGrid {
    height: usize,
    width: usize,
    tokens: Vectors,
}

impl TokenGrid {
    /// `tokens` are `height` rows of `width` cells. They are divided by their lengths.
    ///
    /// # Panics
    /// If there are not so many, none, or one that is not finite: nothing would be similar to it.
    pub fn new(height: usize, width: usize, tokens: &Vectors) -> Self {
        let whole = !tokens.is_empty() && tokens.len() == height * width;
        assert!(whole, "{} tokens for {height} x {width} cells", tokens.len());
        assert!(tokens.values().iter().all(|it| it.is_finite()), "a token is not finite");
        Self { height, width, tokens: tokens.normalized() }
    }

    /// Rows and columns of cells.
    pub fn grid(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Numbers of a token.
    pub fn dim(&self) -> usize {
        self.tokens.dim()
    }

    /// The token of a cell, counted row by row.
    pub(super) fn token(&self, cell: usize) -> &[f32] {
        self.tokens.row(cell)
    }
}

/// Cells along a side of a tile.
pub(super) const SIDE: usize = 4;
/// Cells of a tile.
pub(super) const TILE: usize = SIDE * SIDE;
/// Context cells that are compared with a tile at once.
pub(super) const TOGETHER: usize = 3;

/// Neighbouring target cells, which have nearly the same neighbourhood.
pub(super) struct Tile {
    /// Row and column of each cell. A tile at the border of the grid has fewer.
    pub(super) cells: Vec<(usize, usize)>,
    /// The first number of all tokens, then the second, and so on; 0 where a cell is missing.
    columns: Vec<[f32; TILE]>,
}

impl Tile {
    /// The tile whose first cell is this one.
    pub(super) fn new(grid: &TokenGrid, y: usize, x: usize) -> Self {
        let rows = y..(y + SIDE).min(grid.height);
        let cells: Vec<_> = rows
            .flat_map(|row| (x..(x + SIDE).min(grid.width)).map(move |column| (row, column)))
            .collect();
        let mut columns = vec![[0.0; TILE]; grid.dim()];
        for (at, &(row, column)) in cells.iter().enumerate() {
            for (values, &value) in columns.iter_mut().zip(grid.token(row * grid.width + column)) {
                values[at] = value;
            }
        }
        Self { cells, columns }
    }

    /// The dot products of three tokens with those of the tile.
    ///
    /// The sums of one call fill the registers of a CPU without AVX, and the order of the additions
    /// is the same on every machine.
    pub(super) fn dots(&self, tokens: [&[f32]; TOGETHER]) -> [[f32; TILE]; TOGETHER] {
        let [a, b, c] = tokens;
        let (mut with_a, mut with_b, mut with_c) = ([0.0; TILE], [0.0; TILE], [0.0; TILE]);
        for (((values, a), b), c) in self.columns.iter().zip(a).zip(b).zip(c) {
            for at in 0..TILE {
                with_a[at] += a * values[at];
                with_b[at] += b * values[at];
                with_c[at] += c * values[at];
            }
        }
        [with_a, with_b, with_c]
    }
}
