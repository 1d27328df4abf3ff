//! Which files a process may read, and whether they are still the same.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::protocol::Place;
use crate::{SourceConfig, source};

/// Rewritten, often by renaming another file over it, whenever the network changes.
const NAME_SERVERS: &str = "/etc/resolv.conf";

/// Paths without symbolic links. A file is granted as what it is now, not as its name: one that
/// was replaced needs a new process.
#[derive(Debug)]
pub(super) struct Grants {
    folders: Vec<PathBuf>,
    files: Vec<(PathBuf, Option<Identity>)>,
}

/// Device and inode.
type Identity = (u64, u64);

impl Grants {
    pub(super) fn of(source: Option<&SourceConfig>) -> Self {
        let paths = source.map(source::reach).unwrap_or_default();
        let real = paths.iter().filter_map(|it| fs::canonicalize(it).ok());
        let (folders, files): (Vec<_>, Vec<_>) = real.partition(|it| it.is_dir());
        let files = files.into_iter().chain([NAME_SERVERS.into()]);
        Self { files: files.map(|it| (it.clone(), identity(&it))).collect(), folders }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().chain(self.files.iter().map(|it| &it.0)).map(PathBuf::as_path)
    }

    /// Whether `place` can be read, and every granted file is the one that it was.
    pub(super) fn cover(&self, place: &Place) -> bool {
        let unchanged = self.files.iter().all(|(path, then)| identity(path) == *then);
        let Place::File(path) = place else { return unchanged };
        // What is not there will be missed by whoever opens it.
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

    fn place(path: &Path) -> Place {
        Place::File(path.as_os_str().as_bytes().to_vec())
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
        let grants = Grants::of(Some(&source));
        assert!(grants.cover(&place(&a)) && grants.cover(&place(&b)));
        let other = outside.path().join("other.mp4");
        fs::write(&other, "c").unwrap();
        assert!(!grants.cover(&place(&other)), "a neighbour of a link's target");
        symlink(&other, &c).unwrap();
        assert!(!grants.cover(&place(&c)), "a link that came later");
        assert!(Grants::of(Some(&source)).cover(&place(&c)));
    }

    #[test]
    fn a_file_that_was_replaced_is_no_longer_covered() {
        let folder = tempfile::tempdir().unwrap();
        let [path, new] = ["clip.mp4", "new.mp4"].map(|it| folder.path().join(it));
        fs::write(&path, "a").unwrap();
        let grants = Grants::of(Some(&SourceConfig::Files(path.to_str().unwrap().into())));
        assert!(grants.cover(&place(&path)));
        assert!(!grants.cover(&place(folder.path())), "the folder around it");
        fs::write(&new, "b").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(!grants.cover(&place(&path)));
    }
}
