//! Rows of numbers.

/// Rows of `dim` numbers each, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    dim: usize,
    values: Vec<f32>,
}

impl Vectors {
    /// `values` are whole rows of `dim` numbers.
    ///
    /// # Panics
    /// If they are not, or `dim` is 0.
    pub fn new(dim: usize, values: Vec<f32>) -> Self {
        assert!(dim > 0 && values.len().is_multiple_of(dim), "whole rows of {dim} numbers");
        Self { dim, values }
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..][..self.dim]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim)
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Every row divided by its Euclidean length. A row of zeros stays.
    pub fn normalized(&self) -> Self {
        let mut values = self.values.clone();
        for row in values.chunks_exact_mut(self.dim) {
            let length = row.iter().map(|it| it * it).sum::<f32>().sqrt();
            if length > 0.0 {
                row.iter_mut().for_each(|it| *it /= length);
            }
        }
        Self { dim: self.dim, values }
    }
}
