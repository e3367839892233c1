//! Open files of a tree in memory.

use super::Handle;
use super::node::{Content, Data, Id};
use super::tree::Tree;
use crate::files::{
    Durability, Error, File, OpenOptions, Result, SetTimes, Stat, WriteAt, Written,
};

/// Files are not larger than this, in bytes.
const MAX_SIZE: u64 = i64::MAX as u64;

/// An open file.
#[derive(Debug)]
pub(super) struct MemoryFile {
    handle: Handle,
    read: bool,
    write: bool,
}

impl MemoryFile {
    pub(super) fn new(handle: Handle, options: OpenOptions) -> MemoryFile {
        let OpenOptions { read, write, .. } = options;
        MemoryFile { handle, read: read || !write, write }
    }
}

impl File for MemoryFile {
    fn blocks(&self) -> bool {
        self.handle.shared.blocks
    }

    fn closes_slowly(&self) -> bool {
        self.handle.closes_slowly()
    }

    fn read(&self, target: &mut [u8], offset: u64) -> Result<usize> {
        if !self.read {
            return Err(Error::BadDescriptor);
        }
        let tree = self.handle.shared.lock()?;
        match &tree.node(self.handle.node).content {
            Content::File(Data::Own(pages)) => Ok(pages.read(target, offset)),
            Content::File(Data::Lower(lower)) => lower.file.read(target, offset),
            _ => Err(Error::Io),
        }
    }

    fn write(&self, bytes: &[u8], at: WriteAt, _durability: Durability) -> Result<Written> {
        if !self.write {
            return Err(Error::BadDescriptor);
        }
        self.handle.shared.lock()?.write(self.handle.node, bytes, at)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.handle.shared.lock()?.node(self.handle.node).stat())
    }

    fn set_size(&self, size: u64) -> Result<()> {
        if !self.write || size > MAX_SIZE {
            return Err(Error::Invalid);
        }
        self.handle.shared.lock()?.set_size(self.handle.node, size)
    }

    fn set_times(&self, times: SetTimes) -> Result<()> {
        self.handle.shared.lock()?.set_times(self.handle.node, times)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<u64> {
        if !self.write {
            return Err(Error::BadDescriptor);
        }
        if offset.checked_add(len).is_none_or(|end| end > MAX_SIZE) {
            return Err(Error::TooBig);
        }
        self.handle.shared.lock()?.allocate(self.handle.node, offset, len)
    }
}

impl Tree {
    fn write(&mut self, id: Id, bytes: &[u8], at: WriteAt) -> Result<Written> {
        let size = self.node(id).size();
        let offset = match at {
            WriteAt::Offset(offset) if offset > MAX_SIZE => return Err(Error::Invalid),
            WriteAt::Offset(offset) => offset,
            WriteAt::End => size,
        };
        if bytes.is_empty() {
            return Ok(Written { bytes: 0, end: offset });
        }
        let most = usize::try_from(MAX_SIZE - offset).unwrap_or(usize::MAX).min(bytes.len());
        if most == 0 {
            return Err(Error::TooBig);
        }
        self.copy_up(id, u64::MAX)?;
        let (pages, room) = self.pages(id)?;
        let written = pages.write(&bytes[..most], offset, room);
        if written == 0 {
            return Err(Error::NoSpace);
        }
        self.modified(id);
        Ok(Written { bytes: written, end: offset + written as u64 })
    }

    /// Cuts a file, or fills it up with zeros.
    pub(super) fn set_size(&mut self, id: Id, size: u64) -> Result<()> {
        self.copy_up(id, size)?;
        let (pages, room) = self.pages(id)?;
        if !pages.set_size(size, room) {
            return Err(Error::Unfinished);
        }
        self.modified(id);
        Ok(())
    }

    fn allocate(&mut self, id: Id, offset: u64, len: u64) -> Result<u64> {
        self.copy_up(id, u64::MAX)?;
        let (pages, room) = self.pages(id)?;
        let done = pages.allocate(offset, len, room).ok_or(Error::NoSpace)?;
        self.modified(id);
        Ok(done)
    }
}
