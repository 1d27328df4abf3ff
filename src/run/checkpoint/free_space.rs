//! Whether the next checkpoints fit on the disk.

use std::fs;
use std::path::Path;

use model::Trainer;

use super::Config;
use crate::terminal::print::bytes;

/// Copies of the weights in a checkpoint: the student, its teacher, and AdamW's two moments.
const COPIES: u64 = 4;
/// Checkpoints of the size of the last one that should fit: the next one is written before the
/// oldest is removed, and the tables grow too.
const RESERVE: u64 = 2;

/// A warning when the checkpoints that the run will keep do not fit on the disk of `folder`, by
/// an estimate.
pub(crate) fn warn_before_start(
    folder: &Path,
    config: &Config,
    pipeline: &pipeline::Config,
    trainer: &dyn Trainer,
) -> Option<String> {
    let weights: usize = trainer.parameters().iter().map(|(_, count)| count).sum();
    let [height, width] = pipeline.size;
    let clip = (pipeline.clip.frames * height * width * 3) as u64;
    let size = 4 * COPIES * weights as u64 + pipeline.batch.pool as u64 * clip;
    // A new checkpoint is written before the oldest is removed.
    let checkpoints = config.keep_last as u64 + 1;
    let needed = size * checkpoints;
    let free = free_space(folder)?;
    (free < needed).then(|| {
        format!(
            "the disk of {} has {} free, and {checkpoints} checkpoints take about {}: free some \
             space, or lower checkpoint.keep_last",
            folder.display(),
            bytes(free),
            bytes(needed)
        )
    })
}

/// A warning when the next checkpoints may not fit beside the one in `folder`.
pub(crate) fn warn_after_checkpoint(folder: &Path) -> Option<String> {
    let size = size(folder)?;
    let free = free_space(folder)?;
    (free < RESERVE * size).then(|| {
        format!(
            "the disk of {} has {} free, and a checkpoint takes {}: free some space before the \
             next one",
            folder.display(),
            bytes(free),
            bytes(size)
        )
    })
}

/// Free bytes on the disk of a folder, or of the nearest folder above it that exists.
fn free_space(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    storage::free_space(existing).ok()
}

fn size(folder: &Path) -> Option<u64> {
    let files = fs::read_dir(folder).ok()?;
    Some(files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_has_the_free_space_of_its_disk() {
        let folder = tempfile::tempdir().unwrap();
        let existing = free_space(folder.path()).unwrap();
        let missing = free_space(&folder.path().join("runs/new")).unwrap();
        // Other processes write to the same disk meanwhile.
        assert!(existing > 0 && missing.abs_diff(existing) < 1 << 33, "{existing} and {missing}");
    }

    #[test]
    fn only_a_checkpoint_that_does_not_fit_again_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), [0; 100]).unwrap();
        assert_eq!(size(folder.path()), Some(100));
        assert_eq!(warn_after_checkpoint(folder.path()), None);
        // A sparse file counts with its full length.
        let free = free_space(folder.path()).unwrap();
        fs::File::create(folder.path().join("b")).unwrap().set_len(free).unwrap();
        let warning = warn_after_checkpoint(folder.path()).unwrap();
        assert!(warning.contains("free some space"), "{warning}");
    }
}
