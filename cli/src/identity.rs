//! Identities of files: all by which a file is told from others, and from itself at other times.
//!
//! Nobody can set the time of a change (ctime), and every write through the file system renews it. A file
//! that is installed over another one has an inode of its own, whatever its size and time.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The identity of a file at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) modified: Stamp,
    pub(crate) changed: Stamp,
}

/// A time as file systems have it: seconds since 1970, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) i64, pub(crate) i64);

impl Identity {
    pub(crate) fn of(meta: &Metadata) -> Identity {
        Identity {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: Stamp(meta.mtime(), meta.mtime_nsec()),
            changed: Stamp(meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// That of the running program; `None` if the kernel does not tell. A path would lead to the
    /// program that has been installed there since.
    pub(crate) fn of_program() -> Option<Identity> {
        std::fs::metadata("/proc/self/exe").ok().map(|meta| Identity::of(&meta))
    }

    /// The last change of anything about the file.
    pub(crate) fn last_change(&self) -> Option<SystemTime> {
        self.changed.time().max(self.modified.time())
    }

    /// Time since the last change; `None` if that is in the future, as after setting the clock back.
    pub(crate) fn age(&self) -> Option<Duration> {
        SystemTime::now().duration_since(self.changed.time()?).ok()
    }
}

impl Stamp {
    fn time(self) -> Option<SystemTime> {
        let Stamp(seconds, nanos) = self;
        let since_epoch = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        since_epoch.map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stamp(seconds, nanos) = self;
        write!(f, "{seconds}.{nanos:09}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is installed over another one, of the same size and with its time.
    #[test]
    fn a_file_with_the_size_and_the_time_of_another_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("faascli"), folder.path().join("next"));
        std::fs::write(&path, "one").unwrap();
        std::fs::write(&next, "two").unwrap();
        let before = std::fs::metadata(&path).unwrap();
        let file = std::fs::File::options().write(true).open(&next).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        std::fs::rename(&next, &path).unwrap();
        let (before, after) =
            (Identity::of(&before), Identity::of(&std::fs::metadata(&path).unwrap()));
        assert_eq!((before.size, before.modified), (after.size, after.modified));
        assert_ne!(before, after);
        assert!(after.last_change() >= before.last_change());
    }

    #[test]
    fn the_program_has_one() {
        let program = Identity::of_program().unwrap();
        assert_eq!(Some(program.clone()), Identity::of_program());
        assert!(program.age().is_some() && program.size > 0);
    }
}
