//! Types, sizes and times of files.

use std::time::Duration;

/// Type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// Something else, as a FIFO.
    Unknown,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A socket of datagrams.
    SocketDatagram,
    /// A socket of a stream.
    SocketStream,
    /// A symbolic link.
    Symlink,
}

/// A time: nanoseconds since 1970. One before is 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time so many seconds and nanoseconds after 1970.
    pub fn new(seconds: i64, nanoseconds: u32) -> Timestamp {
        let since = Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds);
        Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// All that is known of a file besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Number of the tree. Two files are the same if device and inode are.
    pub device: u64,
    /// Number of the file in it.
    pub inode: u64,
    /// Type.
    pub kind: FileType,
    /// Names that the file has.
    pub links: u64,
    /// Size in bytes; of a symlink, of its target's path.
    pub size: u64,
    /// Last access.
    pub accessed: Timestamp,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Last change of anything.
    pub changed: Timestamp,
}

/// What becomes of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// It stays.
    Keep,
    /// It is the present one.
    Now,
    /// It is this one.
    To(Timestamp),
}

impl SetTime {
    /// Does so with a time.
    pub(crate) fn set(self, time: &mut Timestamp, now: Timestamp) {
        match self {
            SetTime::Keep => {}
            SetTime::Now => *time = now,
            SetTime::To(other) => *time = other,
        }
    }
}

/// What becomes of a file's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetTimes {
    /// Of the last access.
    pub accessed: SetTime,
    /// Of the last change of the content.
    pub modified: SetTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_have_no_number_are_the_nearest_that_has() {
        assert_eq!(Timestamp::new(-1, 999_999_999), Timestamp(999_999_999));
        assert_eq!(Timestamp::new(3, 5), Timestamp(3_000_000_005));
        assert_eq!(Timestamp::new(i64::MAX, 0), Timestamp(u64::MAX));
    }
}
