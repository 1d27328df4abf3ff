//! Grey images and image pyramids.

/// Side of the smallest image of a pyramid, in pixels.
const COARSEST: usize = 24;

/// Brightness of 0 to 255, row by row. A point `[x, y]` is in pixels from the middle of the first.
#[derive(Clone, Debug)]
pub(super) struct Grey {
    size: [usize; 2],
    values: Vec<f32>,
}

/// An image and its reductions, each half as high and wide as the one before.
#[derive(Clone, Debug)]
pub(super) struct Pyramid(Vec<Grey>);

impl Grey {
    /// From RGB, `[height, width, 3]`.
    pub(super) fn of_rgb(pixels: &[u8], size: [usize; 2]) -> Self {
        let light = |it: &[u8]| {
            let [red, green, blue] = [it[0], it[1], it[2]].map(f32::from);
            0.299 * red + 0.587 * green + 0.114 * blue
        };
        Self { size, values: pixels.chunks_exact(3).map(light).collect() }
    }

    pub(super) fn height(&self) -> usize {
        self.size[0]
    }

    pub(super) fn width(&self) -> usize {
        self.size[1]
    }

    /// Brightness of a pixel.
    pub(super) fn pixel(&self, column: usize, row: usize) -> f32 {
        self.values[row * self.size[1] + column]
    }

    /// Brightness at a point, by linear interpolation. Outside of the image it is that of the edge.
    pub(super) fn at(&self, [x, y]: [f32; 2]) -> f32 {
        let inside = |it: f32, count: usize| {
            let it = it.clamp(0.0, (count - 1) as f32);
            let low = (it as usize).min(count.saturating_sub(2));
            (low, (low + 1).min(count - 1), it - low as f32)
        };
        let (left, right, across) = inside(x, self.width());
        let (top, bottom, down) = inside(y, self.height());
        let line = |row: usize| {
            let (left, right) = (self.pixel(left, row), self.pixel(right, row));
            left + across * (right - left)
        };
        let (top, bottom) = (line(top), line(bottom));
        top + down * (bottom - top)
    }

    /// Whether a point lies in the image.
    pub(super) fn contains(&self, [x, y]: [f32; 2]) -> bool {
        let inside = |it: f32, count: usize| (0.0..=(count - 1) as f32).contains(&it);
        inside(x, self.width()) && inside(y, self.height())
    }

    /// Half as high and wide: each pixel is the mean of four.
    fn halved(&self) -> Self {
        let size @ [height, width] = self.size.map(|it| it / 2);
        let mut values = Vec::with_capacity(height * width);
        for row in 0..height {
            for column in 0..width {
                let line = |row| self.pixel(2 * column, row) + self.pixel(2 * column + 1, row);
                values.push((line(2 * row) + line(2 * row + 1)) / 4.0);
            }
        }
        Self { size, values }
    }
}

impl Pyramid {
    pub(super) fn new(finest: Grey) -> Self {
        let mut levels = vec![finest];
        while let Some(last) = levels.last()
            && last.size.iter().all(|it| it / 2 >= COARSEST)
        {
            levels.push(last.halved());
        }
        Self(levels)
    }

    pub(super) fn finest(&self) -> &Grey {
        &self.0[0]
    }

    /// Level 0 is the finest.
    pub(super) fn levels(&self) -> &[Grey] {
        &self.0
    }
}
