//! A folder that appears whole or not at all, and says of itself whether it still is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};
use storage::fault::point;

const SUMS: &str = "SHA256SUMS";

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Fills a folder under another name, makes it last, and gives it its own.
pub(crate) fn create(
    folder: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    appear(folder, |unfinished| {
        let filled = fill(unfinished).and_then(|()| seal(unfinished));
        filled.with_context(|| {
            format!("could not write {}: check that its disk has room", folder.display())
        })
    })
}

/// Fills a folder with the files of another one, sums included, unless they are damaged.
pub(crate) fn receive(
    folder: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    appear(folder, |unfinished| {
        fill(unfinished)?;
        verify(unfinished).context(Damaged)?;
        sync(unfinished)
    })
}

/// Why a folder was not received: its files are not those of its sums.
#[derive(Debug)]
pub(crate) struct Damaged;

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is damaged")
    }
}

fn appear(folder: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let parent = folder.parent().context("a checkpoint has a folder around it")?;
    make(parent)?;
    let unfinished = unfinished(folder);
    remove(&unfinished)?;
    make(&unfinished)?;
    let filled = fill(&unfinished);
    if filled.is_err() {
        // On a full disk the room is worth having.
        let _ = fs::remove_dir_all(&unfinished);
    }
    filled?;
    point("checkpoint before rename");
    // One that is there already is of the same step: of a run before this one went back.
    remove(folder)?;
    fs::rename(&unfinished, folder)
        .with_context(|| format!("could not name {}", folder.display()))?;
    point("checkpoint after rename");
    sync(parent)
}

/// Writes a file of the folder.
pub(crate) fn put(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> anyhow::Result<()> {
    let written = File::create(path).and_then(|mut file| fill(&mut file));
    written.with_context(|| format!("could not write {}", path.display()))
}

/// The name of a folder that is not whole yet.
fn unfinished(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.tmp"))
}

fn make(folder: &Path) -> anyhow::Result<()> {
    let made = fs::create_dir_all(folder);
    made.with_context(|| format!("could not create {}", folder.display()))
}

/// Removes a folder so that no reader ever sees a part of it.
pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let hidden = folder.with_file_name(format!(".{}.old", name.trim_start_matches('.')));
    let removed = match hidden.exists() {
        true => fs::remove_dir_all(&hidden),
        false => Ok(()),
    };
    let removed = removed.and_then(|()| fs::rename(folder, &hidden));
    point("checkpoint removed by name");
    let removed = removed.and_then(|()| fs::remove_dir_all(&hidden));
    removed.with_context(|| format!("could not remove {}", folder.display()))
}

/// Moves a folder to `superseded/` of its run, where nobody looks for checkpoints.
pub(crate) fn aside(run: &Path, folder: &Path) -> anyhow::Result<()> {
    let to = run.join("superseded");
    make(&to)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let free = (1..).map(|it| to.join(format!("{name}-{it}"))).find(|it| !it.exists());
    let free = free.context("there is always another number")?;
    fs::rename(folder, &free)
        .with_context(|| format!("could not move {} to {}", folder.display(), free.display()))?;
    sync(&to)
}

/// Makes all files last, with their sums beside them.
fn seal(folder: &Path) -> anyhow::Result<()> {
    let mut sums = String::new();
    for (name, path) in files(folder)? {
        writeln!(sums, "{}  {name}", sum(&path)?)?;
        point("checkpoint before sync");
        sync(&path)?;
    }
    let path = folder.join(SUMS);
    put(&path, |file| io::Write::write_all(file, sums.as_bytes()))?;
    sync(&path)?;
    point("checkpoint sealed");
    sync(folder)
}

/// Says whether all files of a folder are there as they were written.
///
/// # Errors
/// The first file that is not.
pub(crate) fn verify(folder: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(folder.join(SUMS)).with_context(|| SUMS)?;
    let mut files = files(folder)?;
    files.remove(SUMS);
    let mut known = 0;
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').and_then(|it| it.split_once("  "));
        let Some((wanted, name)) = line else { bail!("{SUMS} is cut off or was changed") };
        let path = files.get(name).with_context(|| format!("{name} is missing"))?;
        ensure!(sum(path)? == wanted, "{name} is not as it was written");
        known += 1;
    }
    ensure!(known == files.len() && known > 0, "{SUMS} does not list all {} files", files.len());
    Ok(())
}

/// The files of a folder by name.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let listed = fs::read_dir(folder).and_then(|it| it.collect::<io::Result<Vec<_>>>());
    let listed = listed.with_context(|| format!("could not list {}", folder.display()))?;
    let name = |it: &fs::DirEntry| it.file_name().to_string_lossy().into_owned();
    Ok(listed.iter().map(|it| (name(it), it.path())).collect())
}

fn sum(path: &Path) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let unreadable = || format!("could not read {}", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    loop {
        let read = file.read(&mut chunk).with_context(unreadable)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
    }
    Ok(hasher.finalize().iter().map(|it| format!("{it:02x}")).collect())
}

fn sync(path: &Path) -> anyhow::Result<()> {
    let synced = File::open(path).and_then(|it| it.sync_all());
    synced.with_context(|| format!("could not save {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("checkpoints/step-1");
        create(&folder, |folder| {
            put(&folder.join("a"), |file| io::Write::write_all(file, b"some bytes"))?;
            put(&folder.join("b"), |_| Ok(()))
        })
        .unwrap();
        (around, folder)
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_seen() {
        let (_around, folder) = folder();
        verify(&folder).unwrap();
        for name in ["a", "b", SUMS] {
            let path = folder.join(name);
            let whole = fs::read(&path).unwrap();
            for bit in 0..whole.len() * 8 {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, damaged).unwrap();
                assert!(verify(&folder).is_err(), "bit {bit} of {name}");
            }
            for length in 0..whole.len() {
                fs::write(&path, &whole[..length]).unwrap();
                assert!(verify(&folder).is_err(), "{length} bytes of {name}");
            }
            fs::write(&path, &whole).unwrap();
        }
        verify(&folder).unwrap();
        fs::remove_file(folder.join("b")).unwrap();
        assert!(verify(&folder).unwrap_err().to_string().contains("b is missing"));
        fs::write(folder.join("b"), "").unwrap();
        fs::write(folder.join("c"), "").unwrap();
        assert!(verify(&folder).is_err(), "a file that nobody wrote");
    }

    #[test]
    fn one_that_could_not_be_filled_leaves_nothing() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("step-1");
        let full = |_: &Path| bail!("the disk is full");
        let message = format!("{:#}", create(&folder, full).unwrap_err());
        assert!(message.contains("step-1") && message.contains("the disk is full"), "{message}");
        assert_eq!(fs::read_dir(around.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_set_aside_is_kept_under_a_name_of_its_own() {
        let (around, folder) = folder();
        aside(around.path(), &folder).unwrap();
        assert!(!folder.exists());
        fs::create_dir_all(&folder).unwrap();
        aside(around.path(), &folder).unwrap();
        assert!(around.path().join("superseded/step-1-1/a").is_file());
        assert!(around.path().join("superseded/step-1-2").is_dir());
    }
}
