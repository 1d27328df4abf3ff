//! Which files a process may read, and whether they are still the same files.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::protocol::Location;
use crate::{SourceConfig, source};

/// Rewritten, often by renaming another file over it, whenever the network changes.
const NAME_SERVERS: &str = "/etc/resolv.conf";

/// Paths without symbolic links. A grant is for the file as it is now, not for its name: a file
/// that was replaced needs a new process.
#[derive(Debug)]
pub(super) struct FileGrants {
    folders: Vec<PathBuf>,
    files: Vec<(PathBuf, Option<Identity>)>,
}

/// Device and inode.
type Identity = (u64, u64);

impl FileGrants {
    pub(super) fn of(source: Option<&SourceConfig>) -> Self {
        let paths = source.map(source::readable_paths).unwrap_or_default();
        let real = paths.iter().filter_map(|it| fs::canonicalize(it).ok());
        let (folders, files): (Vec<_>, Vec<_>) = real.partition(|it| it.is_dir());
        let files = files.into_iter().chain([NAME_SERVERS.into()]);
        Self { files: files.map(|it| (it.clone(), identity(&it))).collect(), folders }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().chain(self.files.iter().map(|it| &it.0)).map(PathBuf::as_path)
    }

    /// Whether `location` can be read, and every granted file is still the same.
    pub(super) fn cover(&self, location: &Location) -> bool {
        let unchanged = self.files.iter().all(|(path, then)| identity(path) == *then);
        let Location::File(path) = location else { return unchanged };
        // A missing file is reported by whoever opens it.
        let Ok(real) = fs::canonicalize(OsStr::from_bytes(path)) else { return unchanged };
        let inside = self.folders.iter().any(|it| real.starts_with(it));
        unchanged && (inside || self.files.iter().any(|it| it.0 == real))
    }
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn location(path: &Path) -> Location {
        Location::File(path.as_os_str().as_bytes().to_vec())
    }

    #[test]
    fn a_folder_covers_its_files_and_what_they_link_to() {
        let [inside, outside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [a, b, c] = ["a.mp4", "b.mp4", "c.mp4"].map(|it| inside.path().join(it));
        let target = outside.path().join("b.mp4");
        fs::write(&a, "a").unwrap();
        fs::write(&target, "b").unwrap();
        symlink(&target, &b).unwrap();
        let source = SourceConfig::Files(inside.path().to_str().unwrap().into());
        let grants = FileGrants::of(Some(&source));
        assert!(grants.cover(&location(&a)) && grants.cover(&location(&b)));
        let other = outside.path().join("other.mp4");
        fs::write(&other, "c").unwrap();
        assert!(!grants.cover(&location(&other)), "a neighbour of a link's target");
        symlink(&other, &c).unwrap();
        assert!(!grants.cover(&location(&c)), "a link that came later");
        assert!(FileGrants::of(Some(&source)).cover(&location(&c)));
    }

    #[test]
    fn a_file_that_was_replaced_is_no_longer_covered() {
        let folder = tempfile::tempdir().unwrap();
        let [path, new] = ["clip.mp4", "new.mp4"].map(|it| folder.path().join(it));
        fs::write(&path, "a").unwrap();
        let grants = FileGrants::of(Some(&SourceConfig::Files(path.to_str().unwrap().into())));
        assert!(grants.cover(&location(&path)));
        assert!(!grants.cover(&location(folder.path())), "the folder around it");
        fs::write(&new, "b").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(!grants.cover(&location(&path)));
    }
}
