//! A folder that appears once it is complete, with checksums of its files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use storage::checkpoint_names::CHECKSUMS;
use storage::disk::fault::point;
use storage::disk::{file_sha256, rename, sync};

/// Fills a folder under a temporary name, syncs it to disk, and renames it.
pub(crate) fn create(
    folder: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    write_atomically(folder, |unfinished| {
        let filled = fill(unfinished).and_then(|()| write_checksums(unfinished));
        filled.with_context(|| {
            format!("could not write {}: check that its disk has room", folder.display())
        })
    })
}

/// Fills a folder with the files of another one, checksums included.
///
/// # Errors
/// [`Damaged`] if the files do not match their checksums.
pub(crate) fn receive(
    folder: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    write_atomically(folder, |unfinished| {
        fill(unfinished)?;
        verify(unfinished).context(Damaged)?;
        Ok(sync(unfinished)?)
    })
}

/// The files of a folder do not match their checksums.
#[derive(Debug)]
pub(crate) struct Damaged;

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is damaged")
    }
}

fn write_atomically(
    folder: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let parent = folder.parent().context("a checkpoint has a folder around it")?;
    create_folder(parent)?;
    remove_leftovers(parent)?;
    let unfinished = unfinished(folder);
    create_folder(&unfinished)?;
    let filled = fill(&unfinished);
    if filled.is_err() {
        // On a full disk others need the space.
        let _ = fs::remove_dir_all(&unfinished);
    }
    filled?;
    point("checkpoint before rename");
    // A checkpoint of the same step is left of the run before it resumed from an earlier one.
    remove(folder)?;
    rename(&unfinished, folder)?;
    point("checkpoint after rename");
    Ok(())
}

/// Writes a file of the folder.
pub(crate) fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> anyhow::Result<()> {
    let written = File::create(path).and_then(|mut file| fill(&mut file));
    written.with_context(|| format!("could not write {}", path.display()))
}

/// Removes the hidden folders that a killed process left: checkpoints that it was writing, and
/// those that it was removing. The run's lock keeps other processes away.
fn remove_leftovers(parent: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(parent).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.with_context(|| format!("could not list {}", parent.display()))?;
    for entry in entries.iter().filter(|it| it.file_name().to_string_lossy().starts_with('.')) {
        let path = entry.path();
        fs::remove_dir_all(&path)
            .with_context(|| format!("could not remove {}", path.display()))?;
    }
    Ok(())
}

/// The temporary name of a folder.
fn unfinished(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.tmp"))
}

fn create_folder(folder: &Path) -> anyhow::Result<()> {
    let created = fs::create_dir_all(folder);
    created.with_context(|| format!("could not create {}", folder.display()))
}

/// Removes a folder. It is renamed first, so that readers never see a part of it.
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

/// Moves a folder to `superseded/` of its run, where no checkpoint is looked for.
pub(crate) fn supersede(run: &Path, folder: &Path) -> anyhow::Result<()> {
    let to = run.join("superseded");
    create_folder(&to)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut names = (1..).map(|number| to.join(format!("{name}-{number}")));
    let target = names.find(|path| !path.exists()).context("there is always another number")?;
    Ok(rename(folder, &target)?)
}

/// Syncs all files to disk and writes their checksums.
fn write_checksums(folder: &Path) -> anyhow::Result<()> {
    let mut sums = String::new();
    for (name, path) in list(folder)? {
        sums += &format!("{}  {name}\n", file_sha256(&path)?);
        point("checkpoint before sync");
        sync(&path)?;
    }
    let path = folder.join(CHECKSUMS);
    write_file(&path, |file| file.write_all(sums.as_bytes()))?;
    sync(&path)?;
    point("checkpoint sealed");
    Ok(sync(folder)?)
}

/// Checks that all files of a folder are as they were written.
///
/// # Errors
/// The first file that is missing or has changed.
pub(crate) fn verify(folder: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(folder.join(CHECKSUMS)).with_context(|| CHECKSUMS)?;
    let mut files = list(folder)?;
    files.remove(CHECKSUMS);
    let mut known = 0;
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').and_then(|line| line.split_once("  "));
        let Some((wanted, name)) = line else { bail!("{CHECKSUMS} is cut off or was changed") };
        let path = files.get(name).with_context(|| format!("{name} is missing"))?;
        ensure!(file_sha256(path)? == wanted, "{name} is not as it was written");
        known += 1;
    }
    ensure!(
        known == files.len() && known > 0,
        "{CHECKSUMS} does not list all {} files",
        files.len()
    );
    Ok(())
}

/// The files of a folder by name.
fn list(folder: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|all| all.collect::<io::Result<Vec<_>>>());
    let entries = entries.with_context(|| format!("could not list {}", folder.display()))?;
    let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    Ok(entries.iter().map(|entry| (name(entry), entry.path())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("checkpoints/step-1");
        create(&folder, |folder| {
            write_file(&folder.join("a"), |file| file.write_all(b"some bytes"))?;
            write_file(&folder.join("b"), |_| Ok(()))
        })
        .unwrap();
        (around, folder)
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let (_around, folder) = folder();
        verify(&folder).unwrap();
        for name in ["a", "b", CHECKSUMS] {
            let path = folder.join(name);
            let intact = fs::read(&path).unwrap();
            for bit in 0..intact.len() * 8 {
                let mut damaged = intact.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, damaged).unwrap();
                assert!(verify(&folder).is_err(), "bit {bit} of {name}");
            }
            for length in 0..intact.len() {
                fs::write(&path, &intact[..length]).unwrap();
                assert!(verify(&folder).is_err(), "{length} bytes of {name}");
            }
            fs::write(&path, &intact).unwrap();
        }
        verify(&folder).unwrap();
        fs::remove_file(folder.join("b")).unwrap();
        assert!(verify(&folder).unwrap_err().to_string().contains("b is missing"));
        fs::write(folder.join("b"), "").unwrap();
        fs::write(folder.join("c"), "").unwrap();
        assert!(verify(&folder).is_err(), "a file without a checksum");
    }

    #[test]
    fn a_folder_that_could_not_be_filled_leaves_nothing() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("step-1");
        let full = |_: &Path| bail!("the disk is full");
        let message = format!("{:#}", create(&folder, full).unwrap_err());
        assert!(message.contains("step-1") && message.contains("the disk is full"), "{message}");
        assert_eq!(fs::read_dir(around.path()).unwrap().count(), 0);
    }

    #[test]
    fn superseded_folders_are_kept_under_different_names() {
        let (around, folder) = folder();
        supersede(around.path(), &folder).unwrap();
        assert!(!folder.exists());
        fs::create_dir_all(&folder).unwrap();
        supersede(around.path(), &folder).unwrap();
        assert!(around.path().join("superseded/step-1-1/a").is_file());
        assert!(around.path().join("superseded/step-1-2").is_dir());
    }
}
