//! Rights, flags, positions and numbers of descriptors.

use crate::guest::*;
use std::fs;

/// File type, flags, rights, inherited rights.
fn fdstat(guest: &mut Guest, fd: u32) -> (u8, u16, u64, u64) {
    guest.ok("fd_fdstat_get", &[fd.into(), RESULT]);
    let flags = u16::from_le_bytes(guest.get(RESULT + 2, 2).try_into().unwrap());
    (guest.get(RESULT, 1)[0], flags, guest.u64(RESULT + 8), guest.u64(RESULT + 16))
}

#[test]
fn rights_are_given_up_and_never_come_back() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "abc").unwrap();
        let fd = guest.open(DIR, "file", 0, READ | WRITE | SEEK | TELL | 1 << 27).unwrap();
        assert_eq!(fdstat(guest, fd), (4, 0, READ | WRITE | SEEK | TELL | 1 << 27, 0));
        guest.ok("fd_fdstat_set_rights", &[fd.into(), READ, 0]);
        assert_eq!(fdstat(guest, fd).2, READ);
        assert_eq!(guest.call("fd_fdstat_set_rights", &[fd.into(), READ | WRITE, 0]), 76);
        assert_eq!(guest.call("fd_fdstat_set_rights", &[fd.into(), READ, READ]), 76);
        assert_eq!(guest.call("fd_fdstat_set_rights", &[9, 0, 0]), errno::BADF);
        assert_eq!(guest.read(fd, 2), Ok(b"ab".to_vec()));
        let denied = errno::NOTCAPABLE;
        assert_eq!(guest.write(fd, b"x"), Err(denied));
        assert_eq!(guest.seek(fd, 0, 0), Err(denied));
        assert_eq!(guest.seek(fd, 0, 1), Err(denied), "not even to tell");
        assert_eq!(guest.pread(fd, 1, 0), Err(denied));
        assert_eq!(guest.pwrite(fd, b"x", 0), Err(denied));
        let fd = u64::from(fd);
        for (name, args) in [
            ("fd_advise", vec![fd, 0, 0, 0]),
            ("fd_allocate", vec![fd, 0, 1]),
            ("fd_datasync", vec![fd]),
            ("fd_sync", vec![fd]),
            ("fd_tell", vec![fd, RESULT]),
            ("fd_fdstat_set_flags", vec![fd, 0]),
            ("fd_filestat_get", vec![fd, RESULT]),
            ("fd_filestat_set_size", vec![fd, 0]),
            ("fd_filestat_set_times", vec![fd, 0, 0, 0]),
        ] {
            assert_eq!(guest.call(name, &args), denied, "{name}");
        }
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"abc");
    });
}

#[test]
fn a_directory_without_a_right_does_not_do_it() {
    each_mode(|guest, folder| {
        fs::create_dir(folder.join("dir")).unwrap();
        let dir = guest.open(DIR, "dir", DIRECTORY, 0).unwrap();
        let denied = errno::NOTCAPABLE;
        assert_eq!(guest.open(dir, "x", CREAT, ALL), Err(denied));
        assert_eq!(guest.stat(dir, 0, "x"), Err(denied));
        assert_eq!(guest.readlink(dir, "x", 9), Err(denied));
        assert_eq!(guest.readdir(dir, 0, 100), Err(denied));
        assert_eq!(guest.symlink("x", dir, "y"), denied);
        for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
            assert_eq!(guest.at_path(name, dir, "x"), denied, "{name}");
        }
        for two in [(dir, DIR), (DIR, dir)] {
            assert_eq!(guest.rename((two.0, "x"), (two.1, "y")), denied);
            assert_eq!(guest.link((two.0, 0, "x"), (two.1, "y")), denied);
        }
        let [at, len] = guest.path(0, "x");
        assert_eq!(
            guest.call("path_filestat_set_times", &[dir.into(), 0, at, len, 0, 0, 0]),
            denied
        );
        assert_eq!(guest.call("fd_filestat_set_times", &[dir.into(), 0, 0, 0]), denied);
    });
}

#[test]
fn what_is_opened_has_no_more_rights_than_are_inherited() {
    each_mode(|guest, folder| {
        fs::create_dir(folder.join("dir")).unwrap();
        fs::write(folder.join("dir/file"), "x").unwrap();
        let dir = guest.open(DIR, "dir", DIRECTORY, ALL).unwrap();
        let (kind, _, rights, inheriting) = fdstat(guest, dir);
        assert_eq!(kind, 3);
        assert_eq!(rights & (READ | WRITE), 0, "they mean nothing for a directory");
        guest.ok("fd_fdstat_set_rights", &[dir.into(), rights, inheriting & !WRITE]);
        assert_eq!(guest.open(dir, "file", 0, READ | WRITE), Err(errno::NOTCAPABLE));
        assert!(guest.open(dir, "file", 0, READ).is_err(), "all rights to inherit include it");
        let [at, len] = guest.path(0, "file");
        guest.ok("path_open", &[dir.into(), 0, at, len, 0, READ, 0, 0, RESULT]);
        // Making a file or emptying it are rights of the directory.
        guest.ok("fd_fdstat_set_rights", &[dir.into(), 1 << 13, inheriting & !WRITE]);
        let mut open =
            |flags| guest.call("path_open", &[dir.into(), 0, at, len, flags, READ, 0, 0, RESULT]);
        assert_eq!(open(CREAT), errno::NOTCAPABLE);
        assert_eq!(open(TRUNC), errno::NOTCAPABLE);
        assert_eq!(open(0), 0);
    });
}

#[test]
fn flags_can_be_changed_and_appending_goes_to_the_end() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "abc").unwrap();
        let fd = guest.open_with(DIR, 0, "file", 0, ALL, APPEND).unwrap();
        assert_eq!(fdstat(guest, fd).1, APPEND as u16);
        assert_eq!(guest.write(fd, b"de"), Ok(2));
        fs::write(folder.join("file"), "abcdef").unwrap();
        assert_eq!(guest.write(fd, b"gh"), Ok(2), "wherever the end is by then");
        assert_eq!(guest.seek(fd, 0, 1), Ok(8), "the position is behind it");
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"abcdefgh");
        assert_eq!(guest.pwrite(fd, b"X", 0), Ok(1), "an offset is an offset");
        guest.ok("fd_fdstat_set_flags", &[fd.into(), 0]);
        guest.seek(fd, 1, 0).unwrap();
        assert_eq!(guest.write(fd, b"Y"), Ok(1));
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"XYcdefgh");
        for flags in [2, 4, 8, 16, 31] {
            guest.ok("fd_fdstat_set_flags", &[fd.into(), flags]);
            assert_eq!(guest.write(fd, b"-"), Ok(1), "flags {flags}");
            assert_eq!(fdstat(guest, fd).1, flags as u16);
        }
        assert_eq!(guest.call("fd_fdstat_set_flags", &[fd.into(), 32]), errno::INVAL);
        assert_eq!(guest.call("fd_fdstat_set_flags", &[9, 0]), errno::BADF);
    });
}

#[test]
fn positions() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "0123456789").unwrap();
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        assert_eq!(guest.seek(fd, 3, 0), Ok(3));
        assert_eq!(guest.seek(fd, 3, 1), Ok(6));
        assert_eq!(guest.seek(fd, -2, 2), Ok(8));
        guest.ok("fd_tell", &[fd.into(), RESULT]);
        assert_eq!(guest.u64(RESULT), 8);
        assert_eq!(guest.seek(fd, 100, 2), Ok(110), "behind the end there may be more");
        assert_eq!(guest.read(fd, 5), Ok(vec![]));
        for (offset, whence) in [(-1, 0), (-111, 1), (-11, 2), (i64::MIN, 1), (0, 3), (i64::MAX, 1)]
        {
            assert_eq!(guest.seek(fd, offset, whence), Err(errno::INVAL), "{offset} {whence}");
        }
        assert_eq!(guest.seek(fd, 0, 1), Ok(110), "which does not move it");
        assert_eq!(guest.call("fd_seek", &[fd.into(), 0, 0, MEMORY - 7]), errno::FAULT);
        assert_eq!(guest.seek(DIR, 0, 0), Err(errno::BADF));
        assert_eq!(guest.seek(0, 0, 0), Err(errno::SPIPE));
        assert_eq!(guest.seek(9, 0, 0), Err(errno::BADF));
        assert_eq!(guest.call("fd_tell", &[1, RESULT]), errno::SPIPE);
        assert_eq!(guest.call("fd_tell", &[9, RESULT]), errno::BADF);
    });
}

#[test]
fn numbers_are_given_to_others() {
    each_mode(|guest, folder| {
        fs::write(folder.join("a"), "a").unwrap();
        fs::write(folder.join("b"), "b").unwrap();
        let a = guest.open(DIR, "a", 0, READING).unwrap();
        let b = guest.open(DIR, "b", 0, READING).unwrap();
        guest.ok("fd_renumber", &[a.into(), b.into()]);
        assert_eq!(guest.read(b, 9), Ok(b"a".to_vec()));
        assert_eq!(guest.read(a, 9), Err(errno::BADF));
        guest.ok("fd_renumber", &[b.into(), b.into()]);
        assert_eq!(guest.call("fd_renumber", &[9, b.into()]), errno::BADF);
        assert_eq!(guest.call("fd_renumber", &[b.into(), 9]), errno::BADF);
        // A file as stdin.
        guest.seek(b, 0, 0).unwrap();
        guest.ok("fd_renumber", &[b.into(), 0]);
        assert_eq!(guest.read(0, 9), Ok(b"a".to_vec()));
        // Even the directory itself can be closed.
        guest.ok("fd_close", &[3]);
        assert_eq!(guest.open(DIR, "a", 0, READING), Err(errno::BADF));
    });
}
