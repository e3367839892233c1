//! A backend that fails as it is told to: each of its errors reaches the guest, from each function.

use crate::common::errnos;
use crate::descriptors::good;
use crate::guest::*;
use crate::shown::{Shown, WITH_PATH, with_path};
use errnos::*;
use std::sync::{Arc, Mutex};
use wfaas_wasi::files::{
    Directory, Durability, Entry, Error, File, Files, Follow, Node, OpenOptions, Preopen, Result,
    SetTimes, Stat, WriteAt, Written,
};

/// Errors of a backend, and the numbers for them.
const ERRORS: &[(Error, u16)] = &[
    (Error::Access, ACCES),
    (Error::Again, AGAIN),
    (Error::BadDescriptor, BADF),
    (Error::Busy, BUSY),
    (Error::CrossDevice, XDEV),
    (Error::Escapes, PERM),
    (Error::Exists, EXIST),
    (Error::IllegalName, ILSEQ),
    (Error::Interrupted, INTR),
    (Error::Invalid, INVAL),
    (Error::Io, IO),
    (Error::IsDirectory, ISDIR),
    (Error::Loop, LOOP),
    (Error::NameTooLong, NAMETOOLONG),
    (Error::NoDevice, NXIO),
    (Error::NoMemory, NOMEM),
    (Error::NoSpace, NOSPC),
    (Error::NotEmpty, NOTEMPTY),
    (Error::NotFound, NOENT),
    (Error::NotDirectory, NOTDIR),
    (Error::NotPermitted, PERM),
    (Error::NotSupported, NOTSUP),
    (Error::Overflow, OVERFLOW),
    (Error::Pipe, PIPE),
    (Error::Quota, DQUOT),
    (Error::ReadOnly, ROFS),
    (Error::Stale, STALE),
    (Error::TextBusy, TXTBSY),
    (Error::TooBig, FBIG),
    (Error::TooManyLinks, MLINK),
    (Error::TooManyOpen, MFILE),
];

/// Functions of an open file that ask the backend.
const OF_FILES: &[&str] = &[
    "fd_advise",
    "fd_allocate",
    "fd_datasync",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_pwrite",
    "fd_read",
    "fd_sync",
    "fd_write",
];

pub(crate) fn scenes(shown: &mut Shown) {
    for blocks in [false, true] {
        let failing = Failing { error: Arc::default(), blocks };
        let error = failing.error.clone();
        let mut files = Files::default();
        files.add(Preopen::shared("/d", Arc::new(failing))).unwrap();
        let guest = &mut Guest::new(files, Mode::Pool);
        let fd = u64::from(guest.open(DIR, "file", 0, ALL).unwrap());
        guest.iovec(9);
        for (fails, errno) in ERRORS {
            *error.lock().unwrap() = Some(*fails);
            for function in WITH_PATH {
                let path = guest.path(0, "file");
                let args = with_path(guest, function, 3, path);
                passed(shown, guest, function, &args, *errno);
            }
            passed(shown, guest, "fd_readdir", &[3, DATA, 100, 2, RESULT], *errno);
            // From the end on: it is asked where that is.
            passed(shown, guest, "fd_seek", &[fd, 0, 2, RESULT], *errno);
            for function in OF_FILES {
                let args = [&[fd], good(function)].concat();
                passed(shown, guest, function, &args, *errno);
            }
        }
    }
}

/// The answer is the backend's error. It counts as shown where it is in the list.
fn passed(shown: &mut Shown, guest: &mut Guest, function: &str, args: &[u64], errno: u16) {
    assert_eq!(name(guest.call(function, args)), name(errno), "{function}");
    if errnos::of(function).contains(&errno) {
        shown.saw(function, errno);
    }
}

/// A directory, and a file, that fail.
#[derive(Debug, Clone)]
struct Failing {
    error: Arc<Mutex<Option<Error>>>,
    blocks: bool,
}

impl Failing {
    fn fail<T>(&self) -> Result<T> {
        Err(self.error.lock().unwrap().unwrap_or(Error::Io))
    }
}

impl Directory for Failing {
    fn blocks(&self) -> bool {
        self.blocks
    }
    fn open(&self, _: &str, _: OpenOptions) -> Result<Node> {
        match *self.error.lock().unwrap() {
            Some(error) => Err(error),
            None => Ok(Node::File(Arc::new(self.clone()))),
        }
    }
    fn stat(&self) -> Result<Stat> {
        self.fail()
    }
    fn stat_at(&self, _: &str, _: Follow) -> Result<Stat> {
        self.fail()
    }
    fn set_times(&self, _: SetTimes) -> Result<()> {
        self.fail()
    }
    fn set_times_at(&self, _: &str, _: Follow, _: SetTimes) -> Result<()> {
        self.fail()
    }
    fn list(&self, _: u64, _: usize) -> Result<Vec<Entry>> {
        self.fail()
    }
    fn create_directory(&self, _: &str) -> Result<()> {
        self.fail()
    }
    fn remove_directory(&self, _: &str) -> Result<()> {
        self.fail()
    }
    fn unlink(&self, _: &str) -> Result<()> {
        self.fail()
    }
    fn rename(&self, _: &str, _: &dyn Directory, _: &str) -> Result<()> {
        self.fail()
    }
    fn link(&self, _: &str, _: Follow, _: &dyn Directory, _: &str) -> Result<()> {
        self.fail()
    }
    fn symlink(&self, _: &str, _: &str) -> Result<()> {
        self.fail()
    }
    fn read_link(&self, _: &str) -> Result<String> {
        self.fail()
    }
}

impl File for Failing {
    fn blocks(&self) -> bool {
        self.blocks
    }
    fn read(&self, _: &mut [u8], _: u64) -> Result<usize> {
        self.fail()
    }
    fn write(&self, _: &[u8], _: WriteAt, _: Durability) -> Result<Written> {
        self.fail()
    }
    fn stat(&self) -> Result<Stat> {
        self.fail()
    }
    fn set_size(&self, _: u64) -> Result<()> {
        self.fail()
    }
    fn set_times(&self, _: SetTimes) -> Result<()> {
        self.fail()
    }
    fn allocate(&self, _: u64, _: u64) -> Result<u64> {
        self.fail()
    }
    fn advise(&self, _: u64, _: u64, _: wfaas_wasi::files::Advice) -> Result<()> {
        self.fail()
    }
    fn sync(&self, _: Durability) -> Result<()> {
        self.fail()
    }
}
