//! A run that is killed at any moment resumes to the same tables, and readers never notice.

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;
#[allow(dead_code, reason = "these tests need no tools")]
#[path = "../../tests/support/scope.rs"]
mod scope;

use std::env;
use std::fs;
use std::hint;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};

use run::dying::{FOLDER, JOB, command, copy, dies, files, folder, is_tidy, points, same_files};
use run::sequence::{Expected, TABLES, checkpoint, config, continue_run, record};
use run::{named, parts, wait_for};
use tempfile::TempDir;

/// The process that the other tests start and kill. Otherwise it runs to its end.
#[test]
fn child() {
    let say = |done| writeln!(std::io::stdout(), "\n{done} records").unwrap();
    let Some(dir) = env::var_os(FOLDER).map(PathBuf::from) else {
        let folder = folder();
        continue_run(folder.path(), say);
        return Expected::write().equals(folder.path());
    };
    match env::var(JOB).unwrap().as_str() {
        "write" => continue_run(&dir, say),
        "resume" => {
            let resumed = storage::resume(&config(&dir), &named("sequence"), &checkpoint(&dir).0);
            resumed.unwrap().finish().unwrap();
        }
        "idle" => {
            let store = storage::start(&config(&dir), &named("sequence")).unwrap();
            (0..3).for_each(|it| store.write(record(it)).unwrap());
            wait_for("the end", || false);
        }
        "recover" => {
            storage::recover(&dir).unwrap();
        }
        "compact" => {
            storage::compact(&dir, &[checkpoint(&dir).0]).unwrap();
        }
        other => panic!("{other} is no job"),
    }
}

/// Checks what a killed run leaves: readers find its rows up to some moment, and its write-ahead
/// files hold the next rows. Returns the number of these.
fn check_the_dead(dir: &Path, expected: &Expected) -> usize {
    let visible = expected.begins_with(dir);
    let copy = copy(dir);
    let recovered = storage::recover(copy.path()).unwrap();
    // A kill may damage only the record that is being written.
    assert!(recovered.damaged_bytes < 8192, "{} bytes are lost", recovered.damaged_bytes);
    let found = expected.begins_with(copy.path());
    assert_eq!(found, visible + recovered.rows as usize);
    is_tidy(copy.path());
    recovered.rows as usize
}

/// A small seeded generator, good enough to choose moments.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Lets a child run until it has printed some lines, and then a moment longer.
fn kill_after(child: &mut Child, lines: &mut Lines<BufReader<ChildStdout>>, random: &mut Random) {
    for _ in 0..random.below(48) {
        if lines.next().is_none() {
            break;
        }
    }
    for _ in 0..random.below(400_000) {
        hint::spin_loop();
    }
    child.kill().unwrap();
}

/// One run, killed repeatedly until it reaches its end. Returns kills and recovered rows.
fn life(expected: &Expected, random: &mut Random) -> (u64, usize) {
    let dir = folder();
    let (mut kills, mut recovered) = (0, 0);
    loop {
        let mut child = command("write", dir.path()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        kill_after(&mut child, &mut lines, random);
        drop(lines);
        let status = child.wait().unwrap();
        if status.signal() != Some(9) {
            assert!(status.success(), "{status}");
            break;
        }
        kills += 1;
        if dir.path().join("lock").exists() {
            recovered += check_the_dead(dir.path(), expected);
        }
    }
    expected.equals(dir.path());
    expected.contains_superseded(dir.path());
    is_tidy(dir.path());
    (kills, recovered)
}

fn many_lives(seed: u64) {
    let expected = Expected::write();
    let mut random = Random(seed);
    let (mut kills, mut recovered, mut lives) = (0, 0, 0);
    let enough = scope::tier(20, 110);
    while kills < enough || lives < 2 {
        let life = life(&expected, &mut random);
        kills += life.0;
        recovered += life.1;
        lives += 1;
    }
    assert!(lives > 1 && recovered > 0, "{kills} kills, {lives} lives, {recovered} rows recovered");
}

#[test]
fn a_run_killed_at_any_moment_resumes_to_the_same_tables() {
    many_lives(0x5eed);
}

#[test]
fn a_run_killed_at_other_moments_does_too() {
    many_lives(0xfeed);
}

#[test]
fn a_run_killed_at_every_point_of_writing_resumes_to_the_same_tables() {
    let expected = Expected::write();
    // Compaction has its own test, and this run is too short for a write-ahead file to be saved.
    let others = |it: &&String| !it.starts_with("compact.") && !it.starts_with("wal.save");
    let counts = scope::tier(&[1, 9][..], &[1, 2, 4, 9, 22, 60, 150]);
    for point in points().iter().filter(others) {
        let mut killed = 0;
        for &count in counts {
            let dir = folder();
            if !dies("write", dir.path(), Some((point, count))) {
                break;
            }
            killed += 1;
            if dir.path().join("lock").exists() {
                check_the_dead(dir.path(), &expected);
            }
            dies("write", dir.path(), Some((point, count + 1)));
            expected.begins_with(dir.path());
            assert!(!dies("write", dir.path(), None));
            expected.equals(dir.path());
            expected.contains_superseded(dir.path());
            is_tidy(dir.path());
        }
        assert!(killed > 0, "no run passed the point {point}");
    }
}

#[test]
fn a_run_killed_while_it_syncs_a_write_ahead_file_loses_no_row() {
    let expected = Expected::write();
    for point in ["wal.save", "wal.saved"] {
        for count in [2, 3] {
            let dir = folder();
            assert!(dies("idle", dir.path(), Some((point, count))));
            let recovered = check_the_dead(dir.path(), &expected);
            assert_eq!(recovered, 7, "{point}:{count}");
            assert!(!dies("write", dir.path(), None));
            expected.equals(dir.path());
        }
    }
}

/// A run that was killed between two checkpoints, with closed and open parts after the first.
fn dead() -> TempDir {
    let dir = folder();
    assert!(dies("write", dir.path(), Some(("part.write", 59))));
    let (_, done) = checkpoint(dir.path());
    assert_eq!(done, 40);
    for table in TABLES {
        let open = fs::read_dir(dir.path().join("wal")).unwrap();
        let open = open.filter(|it| it.as_ref().unwrap().path().to_string_lossy().contains(table));
        assert!(parts(dir.path(), table).len() > 1 && open.count() == 1, "{table}");
    }
    dir
}

/// Runs `job` on copies of `dead` and kills it at each visit to each point, or in the short tier at
/// the visits 1, 2, 4, 8 and so on. The job is then repeated, and must end with the same files as
/// without the kill.
fn kill_at_every_visit(job: &str, dead: &Path, check: impl Fn(&Path)) {
    let reference = copy(dead);
    assert!(!dies(job, reference.path(), None));
    let reference = files(reference.path());
    let (step, fewest): (fn(u64) -> u64, _) =
        scope::tier((|count| 2 * count, 20), (|count| count + 1, 50));
    let mut kills = 0;
    for point in points() {
        let mut count = 1;
        loop {
            let dir = copy(dead);
            if !dies(job, dir.path(), Some((&point, count))) {
                break;
            }
            kills += 1;
            count = step(count);
            check(dir.path());
            assert!(!dies(job, dir.path(), None));
            check(dir.path());
            same_files(dir.path(), &reference);
        }
    }
    assert!(kills > fewest, "{kills} kills");
}

#[test]
fn a_resume_that_is_killed_is_repeated_to_the_same_files() {
    let expected = Expected::write();
    let dead = dead();
    kill_at_every_visit("resume", dead.path(), |dir| {
        expected.begins_with(dir);
    });
}

#[test]
fn a_recovery_that_is_killed_is_repeated_to_the_same_files() {
    let expected = Expected::write();
    let dead = dead();
    kill_at_every_visit("recover", dead.path(), |dir| {
        expected.begins_with(dir);
    });
}

#[test]
fn the_cleaning_up_of_a_killed_compaction_can_be_killed_too() {
    let dead = dead();
    let reference = copy(dead.path());
    assert!(!dies("compact", reference.path(), None));
    let reference = files(reference.path());
    for point in ["compact.clear", "compact.cleared"] {
        let dir = copy(dead.path());
        assert!(dies("compact", dir.path(), Some(("compact.exchange", 2))));
        assert!(dies("compact", dir.path(), Some((point, 1))));
        assert!(!dies("compact", dir.path(), None));
        same_files(dir.path(), &reference);
    }
}

#[test]
fn a_compaction_that_is_killed_is_repeated_to_the_same_files_and_the_run_resumes() {
    let expected = Expected::write();
    let dead = dead();
    kill_at_every_visit("compact", dead.path(), |dir| {
        expected.begins_with(dir);
    });
    assert!(!dies("compact", dead.path(), None));
    assert!(TABLES.iter().all(|it| parts(dead.path(), it).len() == 2));
    assert!(!dies("write", dead.path(), None));
    expected.equals(dead.path());
}
