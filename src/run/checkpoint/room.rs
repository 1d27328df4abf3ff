//! Whether there is room for what comes.

use std::fs;
use std::path::Path;

use model::Trainer;

use crate::Config;
use crate::terminal::print::bytes;

/// Copies of the weights in a checkpoint: the student, its teacher, and AdamW's two moments.
const COPIES: u64 = 4;
/// Checkpoints of the size of the last one for which there should be room: the next is written
/// before the oldest goes, and the tables grow too.
const AHEAD: u64 = 2;

/// A warning when the checkpoints that a run will keep do not fit on the disk, by an estimate.
pub(crate) fn preflight(config: &Config, trainer: &dyn Trainer) -> Option<String> {
    let weights: usize = trainer.parameters().iter().map(|it| it.1).sum();
    let [height, width] = config.pipeline.size;
    let clip = (config.pipeline.clip.frames * height * width * 3) as u64;
    let one = 4 * COPIES * weights as u64 + config.pipeline.batch.pool as u64 * clip;
    // One more is there while the oldest is not removed yet.
    let all = one * (config.checkpoint.keep_last as u64 + 1);
    let free = free(&config.storage.dir)?;
    (free < all).then(|| {
        format!(
            "the disk of {} has {} free, and {} checkpoints take about {}: make room, or lower \
             checkpoint.keep_last",
            config.storage.dir.display(),
            bytes(free),
            config.checkpoint.keep_last + 1,
            bytes(all)
        )
    })
}

/// A warning when the next checkpoints may not fit beside the one in `folder`.
pub(crate) fn ahead(folder: &Path) -> Option<String> {
    let size = size(folder)?;
    let free = free(folder)?;
    (free < AHEAD * size).then(|| {
        format!(
            "the disk of {} has {} free, and a checkpoint takes {}: make room before the next one",
            folder.display(),
            bytes(free),
            bytes(size)
        )
    })
}

/// Bytes that may still be written below a folder, or below the first one around it that is
/// there.
fn free(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|it| it.is_dir()).unwrap_or(Path::new("."));
    storage::room(there).ok()
}

fn size(folder: &Path) -> Option<u64> {
    let files = fs::read_dir(folder).ok()?;
    Some(files.filter_map(|it| Some(it.ok()?.metadata().ok()?.len())).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_folder_that_is_not_there_yet_is_that_of_its_disk() {
        let folder = tempfile::tempdir().unwrap();
        let there = free(folder.path()).unwrap();
        let later = free(&folder.path().join("runs/new")).unwrap();
        // Others write to the same disk meanwhile.
        assert!(there > 0 && later.abs_diff(there) < 1 << 33, "{there} and {later}");
    }

    #[test]
    fn a_checkpoint_that_fits_many_times_is_no_matter() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), [0; 100]).unwrap();
        assert_eq!(size(folder.path()), Some(100));
        assert_eq!(ahead(folder.path()), None);
        // A file with a hole is as large as it says.
        let free = free(folder.path()).unwrap();
        fs::File::create(folder.path().join("b")).unwrap().set_len(free).unwrap();
        let warning = ahead(folder.path()).unwrap();
        assert!(warning.contains("make room"), "{warning}");
    }
}
