//! Pointers, lengths and numbers that make no sense.

use crate::guest::*;
use std::fs;

#[test]
fn a_bad_pointer_is_an_error_of_every_function() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "x").unwrap();
        let fd = u64::from(guest.open(DIR, "file", 0, ALL).unwrap());
        let [at, len] = guest.path(0, "file");
        for bad in [MEMORY, MEMORY - 1, u64::from(u32::MAX)] {
            for (name, args) in [
                ("fd_read", vec![fd, bad, 1, RESULT]),
                ("fd_read", vec![fd, 600, 0, bad]),
                ("fd_write", vec![fd, bad, 1, RESULT]),
                ("fd_write", vec![fd, 600, 0, bad]),
                ("fd_pread", vec![fd, bad, 1, 0, RESULT]),
                ("fd_pread", vec![fd, 600, 0, 0, bad]),
                ("fd_pwrite", vec![fd, bad, 1, 0, RESULT]),
                ("fd_pwrite", vec![fd, 600, 0, 0, bad]),
                ("fd_seek", vec![fd, 0, 0, bad]),
                ("fd_seek", vec![fd, 0, 2, bad]),
                ("fd_tell", vec![fd, bad]),
                ("fd_fdstat_get", vec![fd, bad]),
                ("fd_filestat_get", vec![fd, bad]),
                ("fd_prestat_get", vec![3, bad]),
                ("fd_prestat_dir_name", vec![3, bad, 2]),
                ("fd_readdir", vec![3, bad, 100, 0, RESULT]),
                ("fd_readdir", vec![3, DATA, 100, 0, bad]),
                ("path_create_directory", vec![3, bad, 2]),
                ("path_remove_directory", vec![3, bad, 2]),
                ("path_unlink_file", vec![3, bad, 2]),
                ("path_filestat_get", vec![3, 0, bad, 2, RESULT]),
                ("path_filestat_get", vec![3, 0, at, len, bad]),
                ("path_filestat_set_times", vec![3, 0, bad, 2, 0, 0, 0]),
                ("path_link", vec![3, 0, bad, 2, 3, at, len]),
                ("path_link", vec![3, 0, at, len, 3, bad, 2]),
                ("path_rename", vec![3, bad, 2, 3, at, len]),
                ("path_rename", vec![3, at, len, 3, bad, 2]),
                ("path_symlink", vec![bad, 2, 3, at, len]),
                ("path_symlink", vec![at, len, 3, bad, 2]),
                ("path_readlink", vec![3, bad, 2, DATA, 100, RESULT]),
                ("path_open", vec![3, 0, bad, 2, 0, READING, 0, 0, RESULT]),
                ("path_open", vec![3, 0, at, len, 0, READING, 0, 0, bad]),
            ] {
                assert_eq!(guest.call(name, &args), errno::FAULT, "{name} {args:?}");
            }
        }
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"x");
    });
}

#[test]
fn buffers_beyond_the_memory_transfer_nothing() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "abcdefgh").unwrap();
        let fd = u64::from(guest.open(DIR, "file", 0, ALL).unwrap());
        let mut iovecs = |pairs: &[(u64, u64)]| {
            let bytes = pairs.iter().flat_map(|(at, len)| {
                [(*at as u32).to_le_bytes(), (*len as u32).to_le_bytes()].concat()
            });
            let bytes: Vec<u8> = bytes.collect();
            guest.put(700, &bytes);
            let args = [fd, 700, pairs.len() as u64, RESULT];
            (guest.call("fd_read", &args), guest.call("fd_write", &args))
        };
        let fault = (errno::FAULT, errno::FAULT);
        assert_eq!(iovecs(&[(DATA, 2), (MEMORY - 1, 2)]), fault);
        assert_eq!(iovecs(&[(DATA, 2), (0, 1 << 31)]), fault);
        assert_eq!(iovecs(&[(1, u64::from(u32::MAX))]), fault);
        let invalid = (errno::INVAL, errno::INVAL);
        assert_eq!(iovecs(&[(0, 1 << 31), (0, 1 << 31)]), invalid, "more than the result can be");
        assert_eq!(guest.seek(fd as u32, 0, 1), Ok(0));
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"abcdefgh");
    });
}

#[test]
fn lengths_of_paths() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "").unwrap();
        let padded =
            |len: usize| "./".repeat((len - 4) / 2) + if len % 2 == 1 { "/" } else { "" } + "file";
        for len in [4094, 4095] {
            assert_eq!(padded(len).len(), len);
            assert!(guest.stat(DIR, 0, &padded(len)).is_ok(), "{len}");
        }
        assert_eq!(guest.stat(DIR, 0, &padded(4096)), Err(errno::NAMETOOLONG));
        assert_eq!(guest.call("path_unlink_file", &[3, 0, MEMORY]), errno::NAMETOOLONG);
    });
}
