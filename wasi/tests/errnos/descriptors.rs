//! Functions of descriptors, clocks, arguments and random numbers.

use crate::guest::*;
use crate::names::over;
use crate::shown::Shown;
use errno::*;
use std::fs;

/// A descriptor that is not open, and an address where nothing fits.
const NONE: u64 = 99;
const BAD: u64 = MEMORY - 1;

/// Functions that have pointers and no descriptor.
pub(crate) fn environment(shown: &mut Shown) {
    let folder = tempfile::tempdir().unwrap();
    let guest = &mut Guest::new(host(folder.path(), false), Mode::Blocking);
    for function in ["args_get", "args_sizes_get", "environ_get", "environ_sizes_get"] {
        shown.call(guest, function, &[RESULT, DATA], 0);
        shown.call(guest, function, &[BAD, DATA], FAULT);
        shown.call(guest, function, &[RESULT, BAD], FAULT);
    }
    for (function, more) in [("clock_res_get", &[][..]), ("clock_time_get", &[0])] {
        for (clock, result, errno) in [
            (0, RESULT, 0),
            (1, RESULT, 0),
            (2, RESULT, INVAL),
            (9, RESULT, INVAL),
            (1, BAD, FAULT),
        ] {
            shown.call(guest, function, &[&[clock], more, &[result]].concat(), errno);
        }
    }
    shown.call(guest, "random_get", &[DATA, 9], 0);
    shown.call(guest, "random_get", &[BAD, 2], FAULT);
    shown.call(guest, "sched_yield", &[], 0);
    shown.call(guest, "proc_raise", &[9], NOSYS);
    guest.put(DATA, &[0; 48]);
    shown.call(guest, "poll_oneoff", &[DATA, DATA + 100, 1, RESULT], 0);
    shown.call(guest, "poll_oneoff", &[DATA, DATA + 100, 0, RESULT], INVAL);
    shown.call(guest, "poll_oneoff", &[DATA, DATA + 100, 1025, RESULT], INVAL);
    for args in [[BAD, DATA, 1, RESULT], [DATA, BAD, 1, RESULT], [DATA, DATA + 100, 1, BAD]] {
        shown.call(guest, "poll_oneoff", &args, FAULT);
    }
}

/// Arguments after the descriptor with which a function of files succeeds.
const ON_FILES: &[(&str, &[u64])] = &[
    ("fd_advise", &[0, 0, 0]),
    ("fd_allocate", &[0, 10]),
    ("fd_datasync", &[]),
    ("fd_fdstat_get", &[RESULT]),
    ("fd_fdstat_set_flags", &[0]),
    ("fd_filestat_get", &[RESULT]),
    ("fd_filestat_set_size", &[9]),
    ("fd_filestat_set_times", &[0, 0, 0b1010]),
    ("fd_pread", &[IOVECS, 1, 0, RESULT]),
    ("fd_pwrite", &[IOVECS, 1, 0, RESULT]),
    ("fd_read", &[IOVECS, 1, RESULT]),
    ("fd_seek", &[0, 0, RESULT]),
    ("fd_sync", &[]),
    ("fd_tell", &[RESULT]),
    ("fd_write", &[IOVECS, 1, RESULT]),
    ("fd_fdstat_set_rights", &[0, 0]),
];

/// Arguments after the descriptor, with which a function does not succeed on a file with all rights.
const WRONG: &[(&str, &[u64], u16)] = &[
    ("fd_advise", &[0, 0, 9], INVAL),
    ("fd_allocate", &[0, 0], INVAL),
    ("fd_allocate", &[u64::MAX, 1], FBIG),
    ("fd_fdstat_get", &[BAD], FAULT),
    ("fd_fdstat_set_flags", &[32], INVAL),
    ("fd_filestat_get", &[BAD], FAULT),
    ("fd_filestat_set_size", &[1 << 63], INVAL),
    ("fd_filestat_set_times", &[0, 0, 3], INVAL),
    ("fd_pread", &[BAD, 1, 0, RESULT], FAULT),
    ("fd_pread", &[IOVECS, 1, 1 << 63, RESULT], INVAL),
    ("fd_pwrite", &[BAD, 1, 0, RESULT], FAULT),
    ("fd_pwrite", &[IOVECS, 1, 1 << 63, RESULT], INVAL),
    ("fd_read", &[BAD, 1, RESULT], FAULT),
    ("fd_read", &[IOVECS, 1025, RESULT], INVAL),
    ("fd_seek", &[0, 9, RESULT], INVAL),
    ("fd_seek", &[0, 0, BAD], FAULT),
    ("fd_tell", &[BAD], FAULT),
    ("fd_write", &[BAD, 1, RESULT], FAULT),
    ("fd_write", &[IOVECS, 1025, RESULT], INVAL),
];

/// What functions answer for a directory (3) and for the standard streams.
const ELSEWHERE: &[(&str, u64, u16)] = &[
    ("fd_advise", 0, SPIPE),
    ("fd_advise", 3, BADF),
    ("fd_allocate", 1, SPIPE),
    ("fd_datasync", 1, INVAL),
    ("fd_pread", 3, ISDIR),
    ("fd_pread", 0, SPIPE),
    ("fd_pwrite", 3, BADF),
    ("fd_pwrite", 1, SPIPE),
    ("fd_read", 3, ISDIR),
    ("fd_read", 1, BADF),
    ("fd_seek", 3, BADF),
    ("fd_seek", 0, SPIPE),
    ("fd_sync", 0, INVAL),
    ("fd_tell", 1, SPIPE),
    ("fd_write", 0, BADF),
    ("fd_filestat_set_size", 3, BADF),
];

pub(crate) fn scenes(shown: &mut Shown) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "content").unwrap();
    for mode in [Mode::Blocking, Mode::Pool] {
        let guest = &mut Guest::new(host(folder.path(), false), mode);
        on_files(shown, guest);
        directories(shown, guest);
    }
    let guest = &mut Guest::new(host(folder.path(), true), Mode::Blocking);
    let read_only = u64::from(guest.open(DIR, "file", 0, READING).unwrap());
    shown.call(guest, "fd_filestat_set_times", &[read_only, 0, 0, 0b1010], ROFS);
    let guest = &mut Guest::new(over(folder.path(), 1 << 20), Mode::Blocking);
    // A file of the host may be as large as its file system says.
    let large = u64::from(guest.open(DIR, "file", 0, ALL).unwrap());
    guest.iovec(9);
    shown.call(guest, "fd_pwrite", &[large, IOVECS, 1, i64::MAX as u64, RESULT], FBIG);
    guest.seek(large as u32, i64::MAX, 0).unwrap();
    shown.call(guest, "fd_write", &[large, IOVECS, 1, RESULT], FBIG);
    let guest = &mut Guest::new(over(folder.path(), 0), Mode::Blocking);
    let over = u64::from(guest.open(DIR, "file", 0, ALL).unwrap());
    guest.iovec(9);
    for function in
        ["fd_allocate", "fd_filestat_set_size", "fd_filestat_set_times", "fd_pwrite", "fd_write"]
    {
        shown.call(guest, function, &[&[over], good(function)].concat(), NOSPC);
    }
}

/// Good arguments of a function after the descriptor.
pub(crate) fn good(function: &str) -> &'static [u64] {
    ON_FILES.iter().find(|row| row.0 == function).expect("a function of files").1
}

fn on_files(shown: &mut Shown, guest: &mut Guest) {
    let file = u64::from(guest.open(DIR, "file", 0, ALL).unwrap());
    let powerless = u64::from(guest.open(DIR, "file", 0, 0).unwrap());
    guest.iovec(9);
    for (function, args, errno) in WRONG {
        shown.call(guest, function, &[&[file], *args].concat(), *errno);
    }
    for (function, fd, errno) in ELSEWHERE {
        shown.call(guest, function, &[&[*fd], good(function)].concat(), *errno);
    }
    for (function, args) in ON_FILES {
        shown.call(guest, function, &[&[NONE], *args].concat(), BADF);
        if !["fd_fdstat_get", "fd_fdstat_set_rights"].contains(function) {
            shown.call(guest, function, &[&[powerless], *args].concat(), NOTCAPABLE);
        }
        shown.call(guest, function, &[&[file], *args].concat(), 0);
    }
    shown.call(guest, "fd_fdstat_set_rights", &[powerless, READ, 0], NOTCAPABLE);
    for fd in [file, powerless] {
        shown.call(guest, "fd_close", &[fd], 0);
        shown.call(guest, "fd_close", &[fd], BADF);
    }
    shown.call(guest, "fd_renumber", &[0, 0], 0);
    shown.call(guest, "fd_renumber", &[0, NONE], BADF);
}

fn directories(shown: &mut Shown, guest: &mut Guest) {
    shown.call(guest, "fd_prestat_get", &[3, RESULT], 0);
    shown.call(guest, "fd_prestat_get", &[NONE, RESULT], BADF);
    shown.call(guest, "fd_prestat_get", &[3, BAD], FAULT);
    shown.call(guest, "fd_prestat_dir_name", &[3, DATA, 9], 0);
    shown.call(guest, "fd_prestat_dir_name", &[NONE, DATA, 9], BADF);
    shown.call(guest, "fd_prestat_dir_name", &[3, DATA, 1], NAMETOOLONG);
    shown.call(guest, "fd_prestat_dir_name", &[3, BAD, 9], FAULT);
    let args = |fd, cookie, result| [fd, DATA, 100, cookie, result];
    shown.call(guest, "fd_readdir", &args(3, 0, RESULT), 0);
    shown.call(guest, "fd_readdir", &args(NONE, 0, RESULT), BADF);
    shown.call(guest, "fd_readdir", &args(0, 0, RESULT), NOTDIR);
    shown.call(guest, "fd_readdir", &args(3, u64::MAX, RESULT), INVAL);
    shown.call(guest, "fd_readdir", &args(3, 0, BAD), FAULT);
    assert_eq!(guest.at_path("path_create_directory", DIR, "gone"), 0);
    let gone = u64::from(guest.open(DIR, "gone", DIRECTORY, READING).unwrap());
    let blind = u64::from(guest.open(DIR, "gone", DIRECTORY, 0).unwrap());
    shown.call(guest, "fd_readdir", &args(blind, 0, RESULT), NOTCAPABLE);
    assert_eq!(guest.at_path("path_remove_directory", DIR, "gone"), 0);
    shown.call(guest, "fd_readdir", &args(gone, 2, RESULT), 0);
}
