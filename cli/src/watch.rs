//! Watching the files that a function is built from.
//!
//! The kernel says that something changed ([`Watcher`], inotify(7)), and a look at all files says what
//! ([`Inputs`]): a build writes files too, and events come in crowds.

use crate::function::is_input;
use crate::identity::Identity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Changes that follow one another faster are one: an editor writes, renames, and sets times.
const QUIET: Duration = Duration::from_millis(100);

/// Longest wait for an end of changes.
const IMPATIENT: Duration = Duration::from_secs(2);

/// Most files and folders that are looked at.
const MOST_FILES: usize = 100_000;

/// The files and folders that a function is built from, as they were at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inputs(BTreeMap<PathBuf, State>);

/// A file or folder at one time. Folders change with their entries, which are looked at themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Folder { inode: u64 },
    File(Identity),
}

impl State {
    fn of(meta: &Metadata) -> State {
        match meta.is_dir() {
            true => State::Folder { inode: meta.ino() },
            false => State::File(Identity::of(meta)),
        }
    }
}

impl Inputs {
    /// Looks at all of these and everything below, but for `outputs`, hidden files and `target` folders.
    ///
    /// # Errors
    /// If there are too many files.
    pub(crate) fn look(roots: &[PathBuf], outputs: &[PathBuf]) -> io::Result<Inputs> {
        let mut inputs = BTreeMap::new();
        let mut waiting = roots.to_vec();
        while let Some(path) = waiting.pop() {
            // Files come and go meanwhile.
            let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
            if outputs.contains(&path) {
                continue;
            }
            if meta.is_dir() {
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                let below = entries.filter(|entry| is_input(&entry.file_name()));
                waiting.extend(below.map(|entry| entry.path()));
            }
            inputs.insert(path, State::of(&meta));
            if inputs.len() + waiting.len() > MOST_FILES {
                let message = format!("more than {MOST_FILES} files to watch");
                return Err(io::Error::other(message));
            }
        }
        Ok(Inputs(inputs))
    }

    /// What is not as it was: changed, new or gone.
    pub(crate) fn changed_since(&self, before: &Inputs) -> BTreeSet<PathBuf> {
        let differs = |one: &Inputs, path: &PathBuf| one.0.get(path) != self.0.get(path);
        let all = self.0.keys().chain(before.0.keys());
        all.filter(|path| differs(before, path)).cloned().collect()
    }

    /// The folders among them.
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let folders = self.0.iter().filter(|(_, state)| matches!(state, State::Folder { .. }));
        folders.map(|(path, _)| path.as_path())
    }
}

/// Waits for changes.
#[derive(Debug)]
pub(crate) struct Watcher(OwnedFd);

impl Watcher {
    /// One that watches nothing yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new() -> io::Result<Watcher> {
        Ok(Watcher(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Watches these files' folders too. Those that are watched stay so until they are gone.
    ///
    /// # Errors
    /// What the kernel says, as that a user watches too many.
    pub(crate) fn watch(&self, inputs: &Inputs, roots: &[PathBuf]) -> io::Result<()> {
        let here = |folder: &Path| folder.as_os_str().is_empty();
        let around = roots.iter().filter_map(|root| root.parent());
        let around = around.map(|folder| if here(folder) { Path::new(".") } else { folder });
        for folder in inputs.folders().chain(around) {
            let changes = WatchFlags::CREATE
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::MOVE
                | WatchFlags::DELETE
                | WatchFlags::ONLYDIR;
            match inotify::add_watch(&self.0, folder, changes) {
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Returns after a change, once there are no more, or they do not end.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn wait(&self) -> io::Result<()> {
        self.changes_within(None)?;
        let first = Instant::now();
        while self.changes_within(Some(QUIET))? && first.elapsed() < IMPATIENT {}
        Ok(())
    }

    /// Whether there is a change in this time, or ever.
    fn changes_within(&self, time: Option<Duration>) -> io::Result<bool> {
        let timeout = time.map(|time| Timespec {
            tv_sec: time.as_secs().cast_signed(),
            tv_nsec: time.subsec_nanos().into(),
        });
        let mut descriptors = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // The events themselves say nothing that a look does not.
        let mut events = [0; 4096];
        loop {
            match rustix::io::read(&self.0, &mut events) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &BTreeSet<PathBuf>) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        paths.iter().map(name).collect()
    }

    #[test]
    fn a_look_sees_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for path in ["src", "target", ".git"] {
            std::fs::create_dir(at(path)).unwrap();
        }
        for name in ["a", "src/b", "out", "target/c", ".git/d"] {
            std::fs::write(at(name), "1").unwrap();
        }
        let roots = [folder.path().to_owned()];
        let look = || Inputs::look(&roots, &[at("out")]).unwrap();
        let before = look();
        for name in ["target/c", ".git/d", "out"] {
            std::fs::write(at(name), "22").unwrap();
        }
        assert_eq!(names(&look().changed_since(&before)), [""; 0]);
        std::fs::write(at("src/b"), "22").unwrap();
        std::fs::write(at("src/new"), "").unwrap();
        std::fs::remove_file(at("a")).unwrap();
        assert_eq!(names(&look().changed_since(&before)), ["a", "b", "new"]);
    }

    fn watched(folder: &Path) -> Watcher {
        let (watcher, roots) = (Watcher::new().unwrap(), [folder.to_owned()]);
        watcher.watch(&Inputs::look(&roots, &[]).unwrap(), &roots).unwrap();
        watcher
    }

    #[test]
    fn a_wait_ends_with_the_changes() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = watched(folder.path());
        assert!(!watcher.changes_within(Some(Duration::ZERO)).unwrap());
        std::fs::write(folder.path().join("a"), "1").unwrap();
        watcher.wait().unwrap();
        assert!(!watcher.changes_within(Some(Duration::ZERO)).unwrap(), "all were read");
    }

    #[test]
    fn a_change_ends_a_wait() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = watched(folder.path());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| watcher.wait());
            // Whether it has begun to wait by now or not.
            std::fs::write(folder.path().join("a"), "1").unwrap();
            waits.join().unwrap().unwrap();
        });
    }
}
