//! The images and videos of a folder, and their classes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Names of folders whose items may be learned from, and of those to test on, best first.
const TRAINING: [&str; 2] = ["gallery", "train"];
const TESTING: [&str; 3] = ["query", "test", "val"];

/// The folder of what is known of the frames of items. It is no class.
const FACTORS: &str = "factors";

/// Of a folder without such folders, one item in so many is tested on.
const TESTED: usize = 5;

/// One image or video.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) path: PathBuf,
    /// Index of its class; 0 where classes do not matter.
    pub(super) class: usize,
    /// Whether it is tested on, and not learned from.
    pub(super) is_test: bool,
}

/// The items of a folder, in the order of their paths.
#[derive(Clone, Debug)]
pub(super) struct DataSet {
    pub(super) folder: PathBuf,
    /// Names of the classes.
    pub(super) classes: Vec<String>,
    pub(super) items: Vec<Item>,
}

impl DataSet {
    /// Lists a folder. With `limit`, at most that many items of each class and part.
    ///
    /// # Errors
    /// It cannot be read, or has not what is needed: items, or two classes and items of both parts.
    pub(super) fn open(folder: &Path, has_classes: bool, limit: usize) -> anyhow::Result<Self> {
        let set = if has_classes { classes(folder, limit)? } else { all(folder, limit)? };
        let shown = folder.display();
        ensure!(!set.items.is_empty(), "{shown} has no files: give --data a folder that has some");
        if has_classes {
            ensure!(
                set.classes.len() > 1,
                "{shown} has one class: it needs a folder for each of at least two"
            );
            for (is_test, part) in [(false, "learn from"), (true, "test on")] {
                ensure!(
                    set.items.iter().any(|it| it.is_test == is_test),
                    "{shown} has no items to {part}: it needs at least {TESTED} in a class, or \
                     folders train and test"
                );
            }
        }
        Ok(set)
    }

    /// How much there is, in words.
    pub(super) fn summary(&self) -> String {
        let test = self.items.iter().filter(|it| it.is_test).count();
        match self.classes.len() {
            0 => format!("{} items", self.items.len()),
            classes => format!(
                "{classes} classes, {} items to learn from, {test} to test on",
                self.items.len() - test
            ),
        }
    }
}

/// Folders of classes, in folders of parts or split here.
fn classes(folder: &Path, limit: usize) -> anyhow::Result<DataSet> {
    let find = |names: &[&str]| names.iter().map(|it| folder.join(it)).find(|it| it.is_dir());
    let parts = match (find(&TRAINING), find(&TESTING)) {
        (Some(training), Some(testing)) => vec![(training, Some(false)), (testing, Some(true))],
        _ => vec![(folder.to_owned(), None)],
    };
    let mut names = Vec::new();
    for (part, _) in &parts {
        let folders = entries(part)?.into_iter().filter(|it| it.is_dir()).map(|it| name(&it));
        names.extend(folders.filter(|it| it != FACTORS));
    }
    names.sort();
    names.dedup();
    let mut items = Vec::new();
    for (part, is_test) in &parts {
        for (class, name) in names.iter().enumerate() {
            let folder = part.join(name);
            let mut files = Vec::new();
            if folder.is_dir() {
                find_files(&folder, &mut files)?;
            }
            let files = files.into_iter().enumerate();
            let mut of_class: Vec<_> = files
                .map(|(idx, path)| {
                    let is_test = is_test.unwrap_or(idx % TESTED == TESTED - 1);
                    Item { path, class, is_test }
                })
                .collect();
            if limit > 0 {
                of_class = [false, true]
                    .into_iter()
                    .flat_map(|part| {
                        of_class.iter().filter(move |it| it.is_test == part).take(limit)
                    })
                    .cloned()
                    .collect();
            }
            items.extend(of_class);
        }
    }
    Ok(DataSet { folder: folder.to_owned(), classes: names, items })
}

/// All files below the folder of the test items, or below the folder itself.
fn all(folder: &Path, limit: usize) -> anyhow::Result<DataSet> {
    let testing = TESTING.iter().map(|it| folder.join(it)).find(|it| it.is_dir());
    let mut files = Vec::new();
    find_files(testing.as_deref().unwrap_or(folder), &mut files)?;
    if limit > 0 && files.len() > limit {
        // Spread over the folder, whose neighbours are often alike.
        let count = files.len();
        files = (0..limit).map(|it| files[it * count / limit].clone()).collect();
    }
    let items = files.into_iter().map(|path| Item { path, class: 0, is_test: true }).collect();
    Ok(DataSet { folder: folder.to_owned(), classes: Vec::new(), items })
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            find_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// What a folder holds, sorted, without hidden names.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|it| Ok(it?.path())).collect()
    };
    let mut paths =
        read().with_context(|| format!("cannot read the folder {}", folder.display()))?;
    paths.retain(|it| !name(it).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn folders_train_and_test_decide_what_is_learned_from() {
        let folder = folder_with(&["train/cat/a.mp4", "train/dog/b.mp4", "test/dog/c/d.png"]);
        let set = DataSet::open(folder.path(), true, 0).unwrap();
        assert_eq!(set.classes, ["cat", "dog"]);
        let items: Vec<_> =
            set.items.iter().map(|it| (name(&it.path), it.class, it.is_test)).collect();
        let wanted = [("a.mp4", 0, false), ("b.mp4", 1, false), ("d.png", 1, true)];
        assert_eq!(items, wanted.map(|(name, class, test)| (name.to_owned(), class, test)));
    }

    #[test]
    fn a_folder_of_classes_alone_is_split_by_item() {
        let files: Vec<String> =
            (0..20).map(|it| format!("{}/{it:02}.jpg", ["cat", "dog"][it % 2])).collect();
        let folder = folder_with(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let set = DataSet::open(folder.path(), true, 0).unwrap();
        let tested = |class| set.items.iter().filter(|it| it.is_test && it.class == class).count();
        assert_eq!([tested(0), tested(1), set.items.len()], [2, 2, 20]);
        let few = DataSet::open(folder.path(), true, 3).unwrap();
        assert_eq!(few.items.len(), 2 * (3 + 2));
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = |files: &[&str], classes| {
            DataSet::open(folder_with(files).path(), classes, 0).unwrap_err().to_string()
        };
        assert!(error(&["a.mp4"], true).contains("no files"), "a class is a folder");
        assert!(error(&["cat/a", "cat/b"], true).contains("one class"));
        assert!(error(&["cat/a", "dog/b"], true).contains("no items to test on"));
        assert!(error(&[], false).contains("no files"));
        let none = DataSet::open(Path::new("/none"), false, 0).unwrap_err();
        assert!(format!("{none:#}").contains("cannot read the folder /none"), "{none:#}");
    }
}
