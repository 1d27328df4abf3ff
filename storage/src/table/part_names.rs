//! The parts of a table, by their names.
//!
//! `part-00007.parquet` is the part that was written as number 7, and `part-00000-00041.parquet`
//! holds the rows of the parts 0 to 41, merged.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::disk::publish::failed;
use crate::{Error, Result};

/// A closed part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Closed {
    /// Number of the first part whose rows it holds.
    pub(crate) first: u64,
    /// Number of the last part whose rows it holds.
    pub(crate) last: u64,
    /// The file.
    pub(crate) path: PathBuf,
}

impl Closed {
    /// Whether it holds the rows of the part of that number.
    pub(crate) fn holds(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// The file of the numbers `first` to `last` in the folder of a table.
pub(crate) fn path(table: &Path, first: u64, last: u64) -> PathBuf {
    table.join(name(first, last))
}

fn name(first: u64, last: u64) -> String {
    match first == last {
        true => format!("part-{first:05}.parquet"),
        false => format!("part-{first:05}-{last:05}.parquet"),
    }
}

/// The numbers in a part's name; nothing in the name of any other file.
pub(crate) fn parse(text: &str) -> Option<(u64, u64)> {
    let numbers = text.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && name(first, last) == text).then_some((first, last))
}

/// The closed parts in the folder of a table, by number. No folder, no parts.
pub(crate) fn list(table: &Path) -> Result<Vec<Closed>> {
    let mut parts: Vec<Closed> = names(table)?
        .into_iter()
        .filter_map(|it| {
            let (first, last) = parse(&it)?;
            Some(Closed { first, last, path: table.join(it) })
        })
        .collect();
    parts.sort();
    Ok(parts)
}

/// Number of the part that comes after all of them.
pub(crate) fn next(parts: &[Closed]) -> u64 {
    parts.last().map_or(0, |it| it.last + 1)
}

/// Checks that the parts of the folder of a table hold every number below `next` once.
///
/// # Errors
/// [`Error::Missing`], [`Error::Twice`], and [`Error::Merged`] when one also holds later numbers.
pub(crate) fn check(table: &Path, parts: &[Closed], next: u64) -> Result<()> {
    let mut number = 0;
    for part in parts.iter().take_while(|it| it.first < next) {
        if part.first > number {
            break;
        }
        if part.first < number {
            return Err(Error::Twice { path: part.path.clone() });
        }
        if part.last >= next {
            return Err(Error::Merged { path: part.path.clone() });
        }
        number = part.last + 1;
    }
    if number < next { Err(Error::Missing { path: path(table, number, number) }) } else { Ok(()) }
}

/// Parts that were never closed, in the folder of a table.
pub(crate) fn unfinished(table: &Path) -> Result<Vec<PathBuf>> {
    let names = names(table)?.into_iter();
    let open = names.filter(|it| it.starts_with(".part-") && it.ends_with(".tmp"));
    Ok(open.map(|it| table.join(it)).collect())
}

/// The names in a folder, without those that are not text: none of them is ours.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed("list", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", dir))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
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
            matches!(&merged, Error::Merged { path } if path.ends_with("part-00000-00002.parquet"))
        );
        for next in [5, 6] {
            let gap = check(next).unwrap_err();
            assert!(
                matches!(&gap, Error::Missing { path } if path.ends_with("part-00004.parquet"))
            );
        }
        touch("part-00002.parquet");
        let overlap = check(4).unwrap_err();
        assert!(matches!(&overlap, Error::Twice { path } if path.ends_with("part-00002.parquet")));
    }

    #[test]
    fn the_next_number_comes_after_a_range() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(next(&list(&dir.path().join("none")).unwrap()), 0);
        fs::write(dir.path().join("part-00000-00041.parquet"), "").unwrap();
        assert_eq!(next(&list(dir.path()).unwrap()), 42);
    }
}
