//! Files of a program that was captured: opened again when they are first used.

use super::{
    Advice, Directory, Durability, Error, File, Node, OpenOptions, Result, SetTimes, Stat, WriteAt,
    Written,
};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use wfaas_vm::checkpoint::SavedStat;
use wfaas_vm::untrusted;

/// A file that is opened at its first use.
#[derive(Debug)]
pub(crate) struct Reopened {
    root: Arc<dyn Directory>,
    path: String,
    options: OpenOptions,
    /// The file as it has to be.
    expected: Option<SavedStat>,
    file: OnceLock<Result<Arc<dyn File>>>,
}

impl Reopened {
    /// The file at `path` from `root`. If there is something that it is `expected` to be, a file with another
    /// size or time is [`Error::Changed`].
    pub(crate) fn new(
        root: Arc<dyn Directory>,
        path: String,
        options: OpenOptions,
        expected: Option<SavedStat>,
    ) -> Reopened {
        Reopened { root, path, options, expected, file: OnceLock::new() }
    }

    /// Opens the file, if it is not open yet.
    ///
    /// # Errors
    /// [`Error::Changed`] and those of opening.
    pub(crate) fn check(&self) -> Result<()> {
        self.file().map(drop)
    }

    fn file(&self) -> Result<&Arc<dyn File>> {
        let opened = self.file.get_or_init(|| {
            self.open().inspect_err(|error| {
                let path = untrusted::text(&self.path);
                tracing::warn!(target: "wfaas::wasi", "an open file of a captured program, {path}: {error}");
            })
        });
        opened.as_ref().map_err(|error| *error)
    }

    fn open(&self) -> Result<Arc<dyn File>> {
        let node = loop {
            match self.root.open(&self.path, self.options) {
                Err(Error::Unfinished) => {}
                opened => break opened?,
            }
        };
        let Node::File(file) = node else { return Err(Error::Changed) };
        if let Some(expected) = self.expected {
            let stat = file.stat()?;
            let found = SavedStat { size: stat.size, modified: stat.modified.0 };
            // A backend in memory has no file of the host, whatever it is.
            if found != expected {
                return Err(Error::Changed);
            }
        }
        Ok(file)
    }
}

impl File for Reopened {
    fn blocks(&self) -> bool {
        self.root.blocks()
    }

    fn closes_slowly(&self) -> bool {
        matches!(self.file.get(), Some(Ok(file)) if file.closes_slowly())
    }

    fn read(&self, target: &mut [u8], offset: u64) -> Result<usize> {
        self.file()?.read(target, offset)
    }

    fn write(&self, bytes: &[u8], at: WriteAt, durability: Durability) -> Result<Written> {
        self.file()?.write(bytes, at, durability)
    }

    fn stat(&self) -> Result<Stat> {
        self.file()?.stat()
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.file()?.set_size(size)
    }

    fn set_times(&self, times: SetTimes) -> Result<()> {
        self.file()?.set_times(times)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<u64> {
        self.file()?.allocate(offset, len)
    }

    fn advise(&self, offset: u64, len: u64, advice: Advice) -> Result<()> {
        self.file()?.advise(offset, len, advice)
    }

    fn host_path(&self) -> Option<PathBuf> {
        self.file().ok()?.host_path()
    }

    fn sync(&self, durability: Durability) -> Result<()> {
        self.file()?.sync(durability)
    }
}
