//! Splits that share nothing: no pixel of a source picture, and no labelled item.

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use super::image::Region;
use super::random::{Purpose, generator};

/// What a part of the data is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To train on: a half.
    Train,
    /// To be searched: a quarter.
    Gallery,
    /// To search with: a quarter.
    Query,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Gallery, Self::Query];

    /// Where this split ends if all of them lie side by side over `length`, and `order` is theirs.
    fn range(self, order: &[Self; 3], length: usize) -> std::ops::Range<usize> {
        let quarters = |it: &Self| if *it == Self::Train { 2 } else { 1 };
        let before: usize = order.iter().take_while(|it| **it != self).map(quarters).sum();
        before * length / 4..(before + quarters(&self)) * length / 4
    }
}

/// The part of each source picture that belongs to a split: a vertical band over its full height.
/// Which band it is differs from picture to picture. `sizes` are widths and heights.
///
/// # Panics
/// If a picture is narrower than 4 pixels.
pub fn bands(sizes: &[(usize, usize)], split: Split, seed: u64) -> Vec<Region> {
    let band = |(index, &(width, height)): (usize, &(usize, usize))| {
        assert!(width >= 4, "a picture of {width} pixels cannot be split");
        let mut order = Split::ALL;
        order.shuffle(&mut generator(seed, Purpose::Bands, index as u64));
        let columns = split.range(&order, width);
        Region { x: columns.start, y: 0, width: columns.len(), height }
    };
    sizes.iter().enumerate().map(band).collect()
}

/// The indices, in ascending order, of those of `count` labelled items that belong to a split.
pub fn items(count: usize, split: Split, seed: u64) -> Vec<usize> {
    let mut all: Vec<_> = (0..count).collect();
    all.shuffle(&mut generator(seed, Purpose::Items, 0));
    let mut chosen = all[split.range(&Split::ALL, count)].to_vec();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_share_no_pixel_and_leave_none_out() {
        let sizes = [(4, 3), (101, 20), (640, 480), (99, 99)];
        for seed in 0..20 {
            let splits = Split::ALL.map(|it| bands(&sizes, it, seed));
            for (picture, (width, height)) in sizes.into_iter().enumerate() {
                let mut owners = vec![0; width * height];
                for region in splits.iter().map(|it| it[picture]) {
                    for y in region.y..region.y + region.height {
                        (region.x..region.x + region.width)
                            .for_each(|x| owners[y * width + x] += 1);
                    }
                }
                assert!(owners.iter().all(|it| *it == 1), "{sizes:?} with seed {seed}");
            }
        }
    }

    #[test]
    fn bands_are_at_different_places_and_depend_on_the_seed() {
        let sizes = [(400, 100); 30];
        let starts = |seed| bands(&sizes, Split::Query, seed).iter().map(|it| it.x).collect();
        let (first, again, other): (Vec<_>, Vec<_>, Vec<_>) = (starts(1), starts(1), starts(2));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!([0, 100, 200, 300].iter().filter(|it| first.contains(it)).count() >= 3);
    }

    #[test]
    fn items_are_in_one_split_each() {
        let mut all = Split::ALL.map(|it| items(103, it, 5)).concat();
        assert_eq!(items(103, Split::Train, 5).len(), 51);
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        assert_eq!(items(103, Split::Query, 5), items(103, Split::Query, 5));
        assert_ne!(items(103, Split::Query, 5), items(103, Split::Query, 6));
    }
}
