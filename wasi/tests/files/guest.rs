//! A guest that does what a test says: each function of preview1 is an export, which reads its
//! arguments from the beginning of the guest's memory.

pub(crate) use super::common::errnos as errno;
use super::common::executor::block_on;
use super::common::exports::module_text;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use wfaas_vm::{Config, Engine, Instance, Linker, Memory, Module, Store};
use wfaas_wasi::files::{Files, HostDirectory, Preopen};
use wfaas_wasi::preview1::MODULE;
use wfaas_wasi::{HasWasi, Input, Output, Wasi, add_to_linker, add_to_linker_async};

pub(crate) const READ: u64 = 1 << 1;
pub(crate) const SEEK: u64 = 1 << 2;
pub(crate) const TELL: u64 = 1 << 5;
pub(crate) const WRITE: u64 = 1 << 6;
/// All rights there are.
pub(crate) const ALL: u64 = (1 << 30) - 1;
/// Those that need no file open to write.
pub(crate) const READING: u64 = ALL & !(WRITE | 1 << 8 | 1 << 22);

pub(crate) const CREAT: u64 = 1;
pub(crate) const DIRECTORY: u64 = 2;
pub(crate) const EXCL: u64 = 4;
pub(crate) const TRUNC: u64 = 8;
pub(crate) const FOLLOW: u64 = 1;

pub(crate) const APPEND: u64 = 1;
pub(crate) const NONBLOCK: u64 = 4;

/// Addresses: of results, of iovecs, of the two paths, of data.
pub(crate) const RESULT: u64 = 512;
pub(crate) const IOVECS: u64 = 600;
const PATHS: u64 = 1024;
const PATH_ROOM: u64 = 8192;
pub(crate) const DATA: u64 = 65536;
/// Bytes of memory.
pub(crate) const MEMORY: u64 = 64 * 65536;

pub(crate) struct Data(Wasi);

impl HasWasi for Data {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.0
    }
}

/// How the guest is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It holds its thread.
    Blocking,
    /// It is suspended while a pool works.
    Pool,
    /// The same with a pool that the files have.
    OwnPool,
}

/// An entry of a listing: name, type, next cookie.
pub(crate) type Listed = (String, u8, u64);

pub(crate) struct Guest {
    store: Store<Data>,
    instance: Instance,
    memory: Memory,
    mode: Mode,
    /// Jobs that the pool was given.
    pub(crate) jobs: Arc<AtomicUsize>,
}

impl Guest {
    /// A guest with these files, called as `mode` says.
    pub(crate) fn new(files: Files, mode: Mode) -> Guest {
        Guest::of_module(MODULE, files, mode)
    }

    /// A guest with a pool of the test's own.
    pub(crate) fn with_pool(mut files: Files, set: impl FnOnce(&mut Files)) -> Guest {
        set(&mut files);
        Guest::of_module(MODULE, files, Mode::OwnPool)
    }

    /// A guest with imports from this module.
    pub(crate) fn of_module(module: &str, mut files: Files, mode: Mode) -> Guest {
        let jobs = Arc::new(AtomicUsize::new(0));
        if mode == Mode::Pool {
            let count = jobs.clone();
            files.set_pool(Box::new(move |job| {
                count.fetch_add(1, SeqCst);
                drop(std::thread::spawn(job));
            }));
        }
        let engine = Engine::new(Config::default()).unwrap();
        let text = module_text(module, MEMORY / 65536);
        let compiled = wfaas_compiler::compile(text.as_bytes(), &Default::default()).unwrap();
        let module = Module::from_bytes(&engine, &compiled.artifact).unwrap();
        let mut linker = Linker::new(&engine);
        match mode {
            Mode::Blocking => add_to_linker(&mut linker),
            Mode::Pool | Mode::OwnPool => add_to_linker_async(&mut linker),
        }
        let wasi = Wasi::builder()
            .arg("test")
            .env("NAME", "value")
            .stdin(Input::bytes("input"))
            .stdout(Output::capture(1 << 30))
            .files(Arc::new(files))
            .build()
            .unwrap();
        let mut store = Store::new(&engine, Data(wasi));
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Guest { store, instance, memory, mode, jobs }
    }

    /// The error number that a function answers.
    pub(crate) fn call(&mut self, name: &str, args: &[u64]) -> u16 {
        for (index, arg) in args.iter().enumerate() {
            self.put(index as u64 * 8, &arg.to_le_bytes());
        }
        let function = self.instance.get_typed_func::<(), i32>(&mut self.store, name).unwrap();
        let result = match self.mode {
            Mode::Blocking => function.call(&mut self.store, ()),
            Mode::Pool | Mode::OwnPool => block_on(function.call_async(&mut self.store, ())),
        };
        result.unwrap() as u16
    }

    /// The same, where nothing may go wrong.
    #[track_caller]
    pub(crate) fn ok(&mut self, name: &str, args: &[u64]) {
        let errno = self.call(name, args);
        assert_eq!(errno, 0, "{name} {args:?}");
    }

    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        self.memory.data_mut(&mut self.store)[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn get(&self, at: u64, len: usize) -> Vec<u8> {
        self.memory.data(&self.store)[at as usize..at as usize + len].to_vec()
    }

    pub(crate) fn u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.get(at, 4).try_into().unwrap())
    }

    pub(crate) fn u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.get(at, 8).try_into().unwrap())
    }

    /// Puts a path where the guest's `index`th path is; address and length.
    pub(crate) fn path(&mut self, index: u64, path: impl AsRef<[u8]>) -> [u64; 2] {
        let path = path.as_ref();
        let at = PATHS + index * PATH_ROOM;
        assert!(path.len() as u64 <= PATH_ROOM);
        self.put(at, path);
        [at, path.len() as u64]
    }

    /// Calls a function with a directory and a path, and nothing else.
    pub(crate) fn at_path(&mut self, name: &str, fd: u32, path: impl AsRef<[u8]>) -> u16 {
        let [at, len] = self.path(0, path);
        self.call(name, &[fd.into(), at, len])
    }

    /// `path_open`, with symlinks followed.
    pub(crate) fn open(
        &mut self,
        fd: u32,
        path: impl AsRef<[u8]>,
        flags: u64,
        rights: u64,
    ) -> Result<u32, u16> {
        self.open_with(fd, FOLLOW, path, flags, rights, 0)
    }

    pub(crate) fn open_with(
        &mut self,
        fd: u32,
        lookup: u64,
        path: impl AsRef<[u8]>,
        flags: u64,
        rights: u64,
        fd_flags: u64,
    ) -> Result<u32, u16> {
        let [at, len] = self.path(0, path);
        let args = [fd.into(), lookup, at, len, flags, rights, ALL, fd_flags, RESULT];
        match self.call("path_open", &args) {
            0 => Ok(self.u32(RESULT)),
            errno => Err(errno),
        }
    }

    /// One iovec for `len` bytes at `DATA`; what a read or a write wants of it.
    pub(crate) fn iovec(&mut self, len: usize) -> [u64; 2] {
        let record = [(DATA as u32).to_le_bytes(), (len as u32).to_le_bytes()].concat();
        self.put(IOVECS, &record);
        [IOVECS, 1]
    }

    pub(crate) fn read(&mut self, fd: u32, len: usize) -> Result<Vec<u8>, u16> {
        let [iovs, count] = self.iovec(len);
        let errno = self.call("fd_read", &[fd.into(), iovs, count, RESULT]);
        self.has_read(errno)
    }

    pub(crate) fn pread(&mut self, fd: u32, len: usize, offset: u64) -> Result<Vec<u8>, u16> {
        let [iovs, count] = self.iovec(len);
        let errno = self.call("fd_pread", &[fd.into(), iovs, count, offset, RESULT]);
        self.has_read(errno)
    }

    fn has_read(&mut self, errno: u16) -> Result<Vec<u8>, u16> {
        if errno != 0 {
            return Err(errno);
        }
        Ok(self.get(DATA, self.u32(RESULT) as usize))
    }

    pub(crate) fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<u32, u16> {
        let [iovs, count] = self.iovec(bytes.len());
        self.put(DATA, bytes);
        match self.call("fd_write", &[fd.into(), iovs, count, RESULT]) {
            0 => Ok(self.u32(RESULT)),
            errno => Err(errno),
        }
    }

    pub(crate) fn pwrite(&mut self, fd: u32, bytes: &[u8], offset: u64) -> Result<u32, u16> {
        let [iovs, count] = self.iovec(bytes.len());
        self.put(DATA, bytes);
        match self.call("fd_pwrite", &[fd.into(), iovs, count, offset, RESULT]) {
            0 => Ok(self.u32(RESULT)),
            errno => Err(errno),
        }
    }

    pub(crate) fn seek(&mut self, fd: u32, offset: i64, whence: u64) -> Result<u64, u16> {
        match self.call("fd_seek", &[fd.into(), offset as u64, whence, RESULT]) {
            0 => Ok(self.u64(RESULT)),
            errno => Err(errno),
        }
    }

    /// Type and size of what is at a path.
    pub(crate) fn stat(&mut self, fd: u32, lookup: u64, path: &str) -> Result<(u8, u64), u16> {
        let [at, len] = self.path(0, path);
        match self.call("path_filestat_get", &[fd.into(), lookup, at, len, RESULT]) {
            0 => Ok((self.get(RESULT + 16, 1)[0], self.u64(RESULT + 32))),
            errno => Err(errno),
        }
    }

    /// `path_rename` or `path_link`: whatever has two paths, each with a directory.
    pub(crate) fn rename(&mut self, from: (u32, &str), to: (u32, &str)) -> u16 {
        let [old, old_len] = self.path(0, from.1);
        let [new, new_len] = self.path(1, to.1);
        let args = [from.0.into(), old, old_len, to.0.into(), new, new_len];
        self.call("path_rename", &args)
    }

    pub(crate) fn link(&mut self, from: (u32, u64, &str), to: (u32, &str)) -> u16 {
        let [old, old_len] = self.path(0, from.2);
        let [new, new_len] = self.path(1, to.1);
        let args = [from.0.into(), from.1, old, old_len, to.0.into(), new, new_len];
        self.call("path_link", &args)
    }

    pub(crate) fn symlink(&mut self, target: &str, fd: u32, path: &str) -> u16 {
        let [old, old_len] = self.path(0, target);
        let [new, new_len] = self.path(1, path);
        self.call("path_symlink", &[old, old_len, fd.into(), new, new_len])
    }

    pub(crate) fn readlink(&mut self, fd: u32, path: &str, room: usize) -> Result<String, u16> {
        let [at, len] = self.path(0, path);
        let args = [fd.into(), at, len, DATA, room as u64, RESULT];
        match self.call("path_readlink", &args) {
            0 => Ok(String::from_utf8(self.get(DATA, self.u32(RESULT) as usize)).unwrap()),
            errno => Err(errno),
        }
    }

    /// Entries from a cookie on, as many as `room` bytes have whole: name, type, next cookie; and
    /// whether the buffer was full.
    pub(crate) fn readdir(
        &mut self,
        fd: u32,
        cookie: u64,
        room: usize,
    ) -> Result<(Vec<Listed>, bool), u16> {
        let args = [fd.into(), DATA, room as u64, cookie, RESULT];
        let errno = self.call("fd_readdir", &args);
        if errno != 0 {
            return Err(errno);
        }
        let used = self.u32(RESULT) as usize;
        let bytes = self.get(DATA, used);
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        while let Some((head, tail)) = rest.split_at_checked(24) {
            let next = u64::from_le_bytes(head[..8].try_into().unwrap());
            let len = u32::from_le_bytes(head[16..20].try_into().unwrap()) as usize;
            let Some((name, tail)) = tail.split_at_checked(len) else { break };
            entries.push((String::from_utf8(name.to_vec()).unwrap(), head[20], next));
            rest = tail;
        }
        Ok((entries, used == room))
    }

    /// All names but `.` and `..`, sorted, read through a buffer of `room` bytes.
    pub(crate) fn names(&mut self, fd: u32, room: usize) -> Vec<String> {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let (entries, is_full) = self.readdir(fd, cookie, room).unwrap();
            assert!(!entries.is_empty() || !is_full, "an entry fits {room} bytes");
            cookie = entries.last().map_or(cookie, |last| last.2);
            names.extend(entries.into_iter().map(|entry| entry.0));
            if !is_full {
                break;
            }
        }
        names.retain(|name| name != "." && name != "..");
        names.sort();
        names
    }
}

/// A directory of the host as descriptor 3, called `/d`.
pub(crate) fn host(path: &Path, read_only: bool) -> Files {
    let mut files = Files::default();
    let root = HostDirectory::open(path, read_only).unwrap();
    files.add(Preopen::shared("/d", Arc::new(root))).unwrap();
    files
}

/// Does a test with a guest and an empty directory of the host, in each mode.
pub(crate) fn each_mode(test: impl Fn(&mut Guest, &Path)) {
    for mode in [Mode::Blocking, Mode::Pool] {
        let folder = tempfile::tempdir().unwrap();
        test(&mut Guest::new(host(folder.path(), false), mode), folder.path());
    }
}

/// The descriptor of the directory.
pub(crate) const DIR: u32 = 3;
