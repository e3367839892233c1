//! Regular files of the host.

use super::{path_of, stat, timestamps};
use crate::files::{Advice, Durability, Error, File, Result, SetTimes, Stat, WriteAt, Written};
use rustix::fs::{self, FallocateFlags};
use rustix::io::{self, Errno, ReadWriteFlags};
use std::io::IoSlice;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// An open regular file of the host.
#[derive(Debug)]
pub(super) struct HostFile {
    descriptor: OwnedFd,
    read_only: bool,
}

/// The offset that stands for the descriptor's position, which a write at the end moves there.
const POSITION: u64 = u64::MAX;

impl HostFile {
    pub(super) fn new(descriptor: OwnedFd, read_only: bool) -> HostFile {
        HostFile { descriptor, read_only }
    }

    fn write_once(&self, bytes: &[u8], offset: u64, flags: ReadWriteFlags) -> Result<usize> {
        loop {
            let written = if flags.is_empty() {
                io::pwrite(&self.descriptor, bytes, offset)
            } else {
                io::pwritev2(&self.descriptor, &[IoSlice::new(bytes)], offset, flags)
            };
            match written {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }
}

impl File for HostFile {
    fn blocks(&self) -> bool {
        true
    }

    fn read(&self, target: &mut [u8], offset: u64) -> Result<usize> {
        loop {
            match io::pread(&self.descriptor, &mut *target, offset) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn write(&self, bytes: &[u8], at: WriteAt, durability: Durability) -> Result<Written> {
        let durable = match durability {
            Durability::None => ReadWriteFlags::empty(),
            Durability::Data => ReadWriteFlags::DSYNC,
            Durability::File => ReadWriteFlags::SYNC,
        };
        match at {
            WriteAt::Offset(offset) => {
                if offset > i64::MAX as u64 {
                    return Err(Error::Invalid);
                }
                let written = self.write_once(bytes, offset, durable)?;
                Ok(Written { bytes: written, end: offset + written as u64 })
            }
            WriteAt::End => {
                let written = self.write_once(bytes, POSITION, durable | ReadWriteFlags::APPEND)?;
                Ok(Written { bytes: written, end: fs::tell(&self.descriptor)? })
            }
        }
    }

    fn stat(&self) -> Result<Stat> {
        stat(&self.descriptor)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        Ok(fs::ftruncate(&self.descriptor, size)?)
    }

    fn set_times(&self, times: SetTimes) -> Result<()> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        Ok(fs::futimens(&self.descriptor, &timestamps(times))?)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<u64> {
        fs::fallocate(&self.descriptor, FallocateFlags::empty(), offset, len)?;
        Ok(len)
    }

    fn advise(&self, offset: u64, len: u64, advice: Advice) -> Result<()> {
        let advice = match advice {
            Advice::Normal => fs::Advice::Normal,
            Advice::Sequential => fs::Advice::Sequential,
            Advice::Random => fs::Advice::Random,
            Advice::WillNeed => fs::Advice::WillNeed,
            Advice::DontNeed => fs::Advice::DontNeed,
            Advice::NoReuse => fs::Advice::NoReuse,
        };
        Ok(fs::fadvise(&self.descriptor, offset, NonZeroU64::new(len), advice)?)
    }

    fn host_path(&self) -> Option<PathBuf> {
        path_of(&self.descriptor)
    }

    fn sync(&self, durability: Durability) -> Result<()> {
        match durability {
            Durability::None => Ok(()),
            Durability::Data => Ok(fs::fdatasync(&self.descriptor)?),
            Durability::File => Ok(fs::fsync(&self.descriptor)?),
        }
    }
}
