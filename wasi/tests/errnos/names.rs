//! Functions of paths.

use crate::guest::*;
use crate::shown::{Shown, WITH_PATH, with_path};
use errno::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use wfaas_wasi::files::{Files, HostDirectory, MemoryDirectory, Preopen, TreeLimits};

/// Memory over a directory of the host.
pub(crate) fn over(path: &Path, bytes: u64) -> Files {
    let (path, limits) = (path.to_owned(), TreeLimits::of_bytes(bytes));
    let mut files = Files::default();
    let root = move || {
        let lower = Arc::new(HostDirectory::open(&path, true).expect("a directory"));
        Arc::new(MemoryDirectory::over(lower, limits)) as _
    };
    files.add(Preopen::fresh("/d", root)).expect("a name that is free");
    files
}

/// Links, files and directories.
fn plant(folder: &Path) {
    fs::create_dir_all(folder.join("full/inner")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("file"), "x").unwrap();
    symlink("file", folder.join("link")).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
}

pub(crate) fn scenes(shown: &mut Shown) {
    for mode in [Mode::Blocking, Mode::Pool] {
        let folder = tempfile::tempdir().unwrap();
        plant(folder.path());
        let guest = &mut Guest::new(host(folder.path(), false), mode);
        WITH_PATH.iter().for_each(|function| of_every_path(shown, guest, function));
        of_names(shown, guest);
        of_opening(shown, guest, folder.path());
    }
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path());
    let guest = &mut Guest::new(host(folder.path(), true), Mode::Blocking);
    for function in CHANGING {
        shown.at(guest, function, 3, target(function), ROFS);
    }
    let [at, len] = guest.path(0, "new");
    shown.call(guest, "path_open", &[3, 0, at, len, CREAT, READ, 0, 0, RESULT], ROFS);
    let guest = &mut Guest::new(over(folder.path(), 0), Mode::Blocking);
    for function in CHANGING {
        shown.at(guest, function, 3, target(function), NOSPC);
    }
    let [at, len] = guest.path(0, "new");
    shown.call(guest, "path_open", &[3, 0, at, len, CREAT, READ, 0, 0, RESULT], NOSPC);
}

/// Functions that change names or times.
const CHANGING: [&str; 7] = [
    "path_create_directory",
    "path_filestat_set_times",
    "path_link",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
];

/// A path with which a function would succeed.
fn target(function: &str) -> &'static [u8] {
    match function {
        "path_create_directory" | "path_symlink" => b"new",
        "path_remove_directory" => b"empty",
        "path_readlink" => b"link",
        _ => b"file",
    }
}

/// What can be wrong with a descriptor, with the text of a path, and on its way.
fn of_every_path(shown: &mut Shown, guest: &mut Guest, function: &str) {
    shown.at(guest, function, 99, b"file", BADF);
    shown.at(guest, function, 0, b"file", NOTDIR);
    let powerless = u64::from(guest.open(DIR, ".", DIRECTORY, 0).unwrap());
    shown.at(guest, function, powerless, b"file", NOTCAPABLE);
    guest.ok("fd_close", &[powerless]);
    let args = with_path(guest, function, 3, [MEMORY - 1, 2]);
    shown.call(guest, function, &args, FAULT);
    for (path, errno) in [
        (&[b'x'; 300][..], NAMETOOLONG),
        (&[b'x'; 5000], NAMETOOLONG),
        (b"\xff", ILSEQ),
        (b"a\0b", INVAL),
        (b"", NOENT),
        (b"missing/x", NOENT),
        (b"file/x", NOTDIR),
        (b"loop/x", LOOP),
        (b"../x", PERM),
        (b"/x", PERM),
    ] {
        shown.at(guest, function, 3, path, errno);
    }
    shown.at(guest, function, 3, target(function), 0);
    // As it was.
    let _ = guest.at_path("path_unlink_file", DIR, "new");
    let _ = guest.at_path("path_remove_directory", DIR, "new");
    let _ = guest.at_path("path_create_directory", DIR, "empty");
    let _ = guest.rename((DIR, "other"), (DIR, "file"));
    let file = guest.open(DIR, "file", CREAT, ALL).unwrap();
    guest.ok("fd_close", &[file.into()]);
    let _ = guest.at_path("path_unlink_file", DIR, "other");
}

/// Obstacles to a change.
fn of_names(shown: &mut Shown, guest: &mut Guest) {
    shown.at(guest, "path_create_directory", 3, b"file", EXIST);
    shown.at(guest, "path_symlink", 3, b"file", EXIST);
    shown.at(guest, "path_remove_directory", 3, b"full", NOTEMPTY);
    shown.at(guest, "path_unlink_file", 3, b"full", ISDIR);
    shown.at(guest, "path_rename", 3, b".", BUSY);
    for (from, to, errno) in
        [("file", "full", ISDIR), ("empty", "full", NOTEMPTY), ("full", "full/inner/x", INVAL)]
    {
        assert_eq!(guest.rename((DIR, from), (DIR, to)), errno, "{from} {to}");
        shown.saw("path_rename", errno);
    }
    assert_eq!(guest.link((DIR, 0, "file"), (DIR, "link")), EXIST);
    shown.saw("path_link", EXIST);
}

fn of_opening(shown: &mut Shown, guest: &mut Guest, folder: &Path) {
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("fifo"), fifo, mode, 0).unwrap();
    fs::copy("/bin/sleep", folder.join("program")).unwrap();
    let mut running = Command::new(folder.join("program")).arg("60").spawn().unwrap();
    for (path, flags, rights, errno) in [
        ("fifo", 0, READ, ACCES),
        ("fifo", 0, WRITE, NXIO),
        ("program", 0, WRITE, TXTBSY),
        ("full", 0, WRITE, ISDIR),
        ("file", CREAT | EXCL, READ, EXIST),
    ] {
        assert_eq!(guest.open(DIR, path, flags, rights), Err(errno), "{path}");
        shown.saw("path_open", errno);
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let mut files = host(folder, false);
    files.set_max_descriptors(4);
    let guest = &mut Guest::new(files, Mode::Blocking);
    shown.at(guest, "path_open", 3, b"file", MFILE);
}

/// A mount that is taken away at the end.
struct Mount<'a>(&'a Path);

impl Mount<'_> {
    fn new<'a>(words: &[&str], at: &'a Path) -> Mount<'a> {
        let status = Command::new("mount").args(words).arg(at).status().expect("mount starts");
        assert!(status.success(), "mount {words:?} takes root: run the tests as root");
        Mount(at)
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// A directory of the host with a full disk and another file system in it.
pub(crate) fn full_disk(shown: &mut Shown) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    plant(folder.path());
    fs::create_dir(path("disk")).unwrap();
    fs::write(path("bound"), "").unwrap();
    let (disk, bound, file) = (path("disk"), path("bound"), path("file"));
    let _disk = Mount::new(&["-t", "tmpfs", "-o", "size=64k,nr_inodes=3", "tmpfs"], &disk);
    let _bound = Mount::new(&["--bind", file.to_str().unwrap()], &bound);
    fs::write(path("disk/a"), "").unwrap();
    fs::write(path("disk/b"), "").unwrap();
    let guest = &mut Guest::new(host(folder.path(), false), Mode::Pool);
    let fd = guest.open(DIR, "disk/a", 0, ALL).unwrap();
    assert_eq!(guest.write(fd, &[1; 100_000]), Ok(65536), "as much as there is room for");
    let number = u64::from(fd);
    assert_eq!(guest.write(fd, b"x"), Err(NOSPC));
    assert_eq!(guest.pwrite(fd, b"x", 65536), Err(NOSPC));
    assert_eq!(guest.call("fd_allocate", &[number, 0, 100_000]), NOSPC);
    for function in ["path_create_directory", "path_symlink"] {
        shown.at(guest, function, 3, b"disk/new", NOSPC);
    }
    assert_eq!(guest.open(DIR, "disk/new", CREAT, ALL), Err(NOSPC));
    assert_eq!(guest.link((DIR, 0, "disk/a"), (DIR, "disk/new")), NOSPC);
    assert_eq!(guest.rename((DIR, "file"), (DIR, "disk/new")), XDEV);
    assert_eq!(guest.link((DIR, 0, "file"), (DIR, "disk/b2")), XDEV);
    for function in ["path_rename", "path_link"] {
        shown.saw(function, XDEV);
    }
    shown.at(guest, "path_remove_directory", 3, b"disk", BUSY);
    shown.at(guest, "path_unlink_file", 3, b"bound", BUSY);
    guest.ok("fd_close", &[number]);
}
