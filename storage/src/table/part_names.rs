//! Parts by their names.
//!
//! `part-00007.parquet` was written as number 7. `part-00000-00041.parquet` holds the merged rows of
//! the parts 0 to 41.

use std::path::{Path, PathBuf};

use crate::disk::folder::list_names;
use crate::{Error, Result};

/// A closed part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClosedPart {
    /// Number of the first part whose rows it holds.
    pub(crate) first: u64,
    /// Number of the last part whose rows it holds.
    pub(crate) last: u64,
    /// The file.
    pub(crate) path: PathBuf,
}

impl ClosedPart {
    /// Whether it holds the rows of the part with this number.
    pub(crate) fn holds(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// The path of the part with the numbers `first` to `last` in a table's folder.
pub(crate) fn path(table: &Path, first: u64, last: u64) -> PathBuf {
    table.join(name(first, last))
}

fn name(first: u64, last: u64) -> String {
    match first == last {
        true => format!("part-{first:05}.parquet"),
        false => format!("part-{first:05}-{last:05}.parquet"),
    }
}

/// The numbers in a part's name, or `None` for any other file.
pub(crate) fn parse(file_name: &str) -> Option<(u64, u64)> {
    let numbers = file_name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && name(first, last) == file_name).then_some((first, last))
}

/// The closed parts in a table's folder, by number. A missing folder has none.
pub(crate) fn list(table: &Path) -> Result<Vec<ClosedPart>> {
    let mut parts: Vec<ClosedPart> = list_names(table)?
        .into_iter()
        .filter_map(|name| {
            let (first, last) = parse(&name)?;
            Some(ClosedPart { first, last, path: table.join(name) })
        })
        .collect();
    parts.sort();
    Ok(parts)
}

/// The number of the next part after all of these.
pub(crate) fn next(parts: &[ClosedPart]) -> u64 {
    parts.last().map_or(0, |part| part.last + 1)
}

/// Checks that the parts in a table's folder hold every number below `next` exactly once.
///
/// # Errors
/// [`Error::MissingPart`], [`Error::OverlappingParts`], and [`Error::PartAcrossCheckpoint`] when a
/// part also holds later numbers.
pub(crate) fn check(table: &Path, parts: &[ClosedPart], next: u64) -> Result<()> {
    let mut number = 0;
    for part in parts.iter().take_while(|part| part.first < next) {
        if part.first > number {
            break;
        }
        if part.first < number {
            return Err(Error::OverlappingParts { path: part.path.clone() });
        }
        if part.last >= next {
            return Err(Error::PartAcrossCheckpoint { path: part.path.clone() });
        }
        number = part.last + 1;
    }
    match number < next {
        true => Err(Error::MissingPart { path: path(table, number, number) }),
        false => Ok(()),
    }
}

/// The parts in a table's folder that were never closed.
pub(crate) fn unfinished(table: &Path) -> Result<Vec<PathBuf>> {
    let names = list_names(table)?.into_iter();
    let open = names.filter(|name| name.starts_with(".part-") && name.ends_with(".tmp"));
    Ok(open.map(|name| table.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_says_which_parts_a_file_holds() {
        for (text, numbers) in [
            ("part-00007.parquet", Some((7, 7))),
            ("part-00000-00041.parquet", Some((0, 41))),
            ("part-123456.parquet", Some((123_456, 123_456))),
            ("part-7.parquet", None),
            ("part-+0007.parquet", None),
            ("part-00009-00003.parquet", None),
            ("part-00003-00003.parquet", None),
            (".part-00007.parquet.tmp", None),
            ("part-00007.parquet.tmp", None),
            ("notes.parquet", None),
        ] {
            assert_eq!(parse(text), numbers, "{text}");
        }
    }

    #[test]
    fn a_gap_and_an_overlap_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let touch = |name: &str| fs::write(dir.path().join(name), "").unwrap();
        let check = |next| check(dir.path(), &list(dir.path()).unwrap(), next);
        touch("part-00000-00002.parquet");
        touch("part-00003.parquet");
        touch("part-00005.parquet");
        check(0).unwrap();
        check(3).unwrap();
        check(4).unwrap();
        let merged = check(2).unwrap_err();
        assert!(
            matches!(&merged, Error::PartAcrossCheckpoint { path } if path.ends_with("part-00000-00002.parquet"))
        );
        for next in [5, 6] {
            let gap = check(next).unwrap_err();
            assert!(
                matches!(&gap, Error::MissingPart { path } if path.ends_with("part-00004.parquet"))
            );
        }
        touch("part-00002.parquet");
        let overlap = check(4).unwrap_err();
        assert!(
            matches!(&overlap, Error::OverlappingParts { path } if path.ends_with("part-00002.parquet"))
        );
    }

    #[test]
    fn the_next_number_comes_after_a_range() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(next(&list(&dir.path().join("none")).unwrap()), 0);
        fs::write(dir.path().join("part-00000-00041.parquet"), "").unwrap();
        assert_eq!(next(&list(dir.path()).unwrap()), 42);
    }
}
