//! `path_open`: what it opens, and every error it has.

use crate::guest::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

#[test]
fn the_preopen_is_announced_and_nothing_else() {
    each_mode(|guest, _| {
        guest.ok("fd_prestat_get", &[3, RESULT]);
        assert_eq!(guest.get(RESULT, 8), [0, 0, 0, 0, 2, 0, 0, 0]);
        guest.ok("fd_prestat_dir_name", &[3, DATA, 2]);
        assert_eq!(guest.get(DATA, 3), b"/d\0");
        assert_eq!(guest.call("fd_prestat_dir_name", &[3, DATA, 1]), errno::NAMETOOLONG);
        for fd in [0, 1, 4, 1000] {
            assert_eq!(guest.call("fd_prestat_get", &[fd, RESULT]), errno::BADF);
            assert_eq!(guest.call("fd_prestat_dir_name", &[fd, DATA, 2]), errno::BADF);
        }
        let opened = guest.open(DIR, ".", DIRECTORY, READING).unwrap();
        assert_eq!(guest.call("fd_prestat_get", &[opened.into(), RESULT]), errno::BADF);
    });
}

#[test]
fn files_are_made_written_and_read_again() {
    each_mode(|guest, folder| {
        let fd = guest.open(DIR, "new", CREAT, ALL).unwrap();
        assert_eq!(fd, 4);
        assert_eq!(guest.write(fd, b"hello"), Ok(5));
        assert_eq!(fs::read(folder.join("new")).unwrap(), b"hello");
        assert_eq!(guest.read(fd, 9), Ok(vec![]));
        assert_eq!(guest.seek(fd, 1, 0), Ok(1));
        assert_eq!(guest.read(fd, 9), Ok(b"ello".to_vec()));
        guest.ok("fd_close", &[fd.into()]);
        assert_eq!(guest.call("fd_close", &[fd.into()]), errno::BADF);
        let again = guest.open(DIR, "new", TRUNC, ALL).unwrap();
        assert_eq!(again, 4, "the number is free again");
        assert_eq!(fs::read(folder.join("new")).unwrap(), b"");
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "x").unwrap();
        fs::create_dir(folder.join("dir")).unwrap();
        symlink("file", folder.join("link")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        let long = "x".repeat(256);
        for (path, flags, rights, expected) in [
            ("missing", 0, READING, errno::NOENT),
            ("missing/x", CREAT, ALL, errno::NOENT),
            ("", 0, READING, errno::NOENT),
            ("file/x", 0, READING, errno::NOTDIR),
            ("file/", 0, READING, errno::NOTDIR),
            ("file", DIRECTORY, READING, errno::NOTDIR),
            ("dir", 0, ALL, errno::ISDIR),
            ("dir", CREAT, READING, errno::ISDIR),
            ("dir", TRUNC, ALL, errno::ISDIR),
            ("file", CREAT | EXCL, ALL, errno::EXIST),
            ("link", CREAT | EXCL, ALL, errno::EXIST),
            ("dangling", CREAT | EXCL, ALL, errno::EXIST),
            ("dangling", 0, READING, errno::NOENT),
            ("new", CREAT | DIRECTORY, ALL, errno::INVAL),
            ("loop", 0, READING, errno::LOOP),
            (&long, 0, READING, errno::NAMETOOLONG),
            (&"x/".repeat(2048), 0, READING, errno::NAMETOOLONG),
            ("..", 0, READING, errno::PERM),
            ("/", 0, READING, errno::PERM),
            ("/etc/passwd", 0, READING, errno::PERM),
            ("a\0b", 0, READING, errno::INVAL),
            ("file", 16, READING, errno::INVAL),
        ] {
            assert_eq!(guest.open(DIR, path, flags, rights), Err(expected), "{path:?} {flags}");
        }
        assert_eq!(guest.open(DIR, b"\xff\xfe", 0, READING), Err(errno::ILSEQ));
        assert_eq!(guest.open_with(DIR, 0, "link", 0, READING, 0), Err(errno::LOOP));
        assert_eq!(guest.open_with(DIR, 1, "file", 0, READING, 32), Err(errno::INVAL));
        assert_eq!(guest.open(9, "file", 0, READING), Err(errno::BADF));
        assert_eq!(guest.open(0, "file", 0, READING), Err(errno::NOTDIR));
        let file = guest.open(DIR, "file", 0, READING).unwrap();
        assert_eq!(guest.open(file, "x", 0, READING), Err(errno::NOTDIR));
        // Through a symlink, and by names that say nothing.
        for path in ["link", "./file", "dir/../file", ".//file", "dir/./../link"] {
            let fd = guest.open(DIR, path, 0, READING).unwrap();
            assert_eq!(guest.read(fd, 9), Ok(b"x".to_vec()), "{path}");
        }
        // A directory asked for as one may be asked for with all rights.
        assert!(guest.open(DIR, "dir", DIRECTORY, ALL).is_ok());
        assert!(guest.open(DIR, "dir/", 0, READING).is_ok());
    });
}

#[test]
fn a_fifo_a_socket_and_a_device_are_not_opened_and_delay_nobody() {
    each_mode(|guest, folder| {
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::from(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, folder.join("fifo"), fifo, mode, 0).unwrap();
        let _socket = UnixListener::bind(folder.join("socket")).unwrap();
        assert_eq!(guest.open(DIR, "fifo", 0, READING), Err(errno::ACCES));
        // Nobody reads from it.
        assert_eq!(guest.open(DIR, "fifo", 0, WRITE), Err(errno::NXIO));
        assert_eq!(guest.open(DIR, "fifo", 0, READ | WRITE), Err(errno::ACCES));
        assert_eq!(guest.open(DIR, "socket", 0, READING), Err(errno::NXIO));
        assert_eq!(guest.stat(DIR, 0, "fifo").map(|stat| stat.0), Ok(0));
        assert_eq!(guest.stat(DIR, 0, "socket").map(|stat| stat.0), Ok(6));
    });
    let mut guest = Guest::new(host("/dev".as_ref(), true), Mode::Blocking);
    assert_eq!(guest.open(DIR, "null", 0, READING), Err(errno::ACCES));
    assert_eq!(guest.stat(DIR, 0, "null").map(|stat| stat.0), Ok(2));
}

#[test]
fn a_descriptor_number_is_not_lost_with_a_bad_result_pointer() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "x").unwrap();
        let [at, len] = guest.path(0, "file");
        let args = [3, 0, at, len, 0, READING, 0, 0, MEMORY - 3];
        assert_eq!(guest.call("path_open", &args), errno::FAULT);
        assert_eq!(guest.open(DIR, "file", 0, READING), Ok(4));
    });
}

#[test]
fn there_are_no_more_descriptors_than_the_most() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let mut files = host(folder.path(), false);
    files.set_max_descriptors(6);
    let mut guest = Guest::new(files, Mode::Pool);
    assert_eq!(guest.open(DIR, "file", 0, READING), Ok(4));
    assert_eq!(guest.open(DIR, "file", 0, READING), Ok(5));
    assert_eq!(guest.open(DIR, "file", 0, READING), Err(errno::MFILE));
    assert_eq!(guest.open(DIR, "new", CREAT, ALL), Err(errno::MFILE));
    assert!(!folder.path().join("new").exists(), "nothing is made in vain");
    guest.ok("fd_close", &[4]);
    assert_eq!(guest.open(DIR, "file", 0, READING), Ok(4));
}

#[test]
fn a_read_only_tree_is_read_only_whatever_the_guest_tries() {
    for mode in [Mode::Blocking, Mode::Pool] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "x").unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        symlink("file", folder.path().join("link")).unwrap();
        let mut guest = Guest::new(host(folder.path(), true), mode);
        for (path, flags, rights, expected) in [
            ("file", 0, WRITE, errno::ROFS),
            ("file", TRUNC, READING, errno::ROFS),
            ("new", CREAT, READING, errno::ROFS),
            ("new", CREAT | EXCL, ALL, errno::ROFS),
            ("file", CREAT | EXCL, ALL, errno::EXIST),
            ("missing", TRUNC, ALL, errno::NOENT),
            ("missing/new", CREAT, ALL, errno::NOENT),
            ("../new", CREAT, ALL, errno::PERM),
        ] {
            assert_eq!(guest.open(DIR, path, flags, rights), Err(expected), "{path} {flags}");
        }
        let dir = guest.open(DIR, "dir", DIRECTORY, ALL).unwrap();
        for fd in [DIR, dir] {
            assert_eq!(guest.at_path("path_create_directory", fd, "new"), errno::ROFS);
            assert_eq!(guest.symlink("file", fd, "new"), errno::ROFS);
        }
        assert_eq!(guest.at_path("path_create_directory", DIR, "dir"), errno::EXIST);
        assert_eq!(guest.at_path("path_remove_directory", DIR, "dir"), errno::ROFS);
        assert_eq!(guest.at_path("path_unlink_file", DIR, "file"), errno::ROFS);
        assert_eq!(guest.rename((DIR, "file"), (DIR, "new")), errno::ROFS);
        assert_eq!(guest.link((DIR, 0, "file"), (DIR, "new")), errno::ROFS);
        let [at, len] = guest.path(0, "file");
        let times = [3, 0, at, len, 1, 1, 0b0101];
        assert_eq!(guest.call("path_filestat_set_times", &times), errno::ROFS);
        assert_eq!(guest.call("fd_filestat_set_times", &[3, 1, 1, 0b0101]), errno::ROFS);
        let fd = guest.open(DIR, "file", CREAT, READING).unwrap();
        assert_eq!(guest.read(fd, 9), Ok(b"x".to_vec()));
        assert_eq!(guest.call("fd_filestat_set_times", &[fd.into(), 1, 1, 5]), errno::ROFS);
        assert_eq!(guest.write(fd, b"y"), Err(errno::NOTCAPABLE));
        assert_eq!(guest.readlink(DIR, "link", 9), Ok("file".to_owned()));
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"x");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
