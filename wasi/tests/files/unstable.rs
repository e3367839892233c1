//! `wasi_unstable`: the functions that differ, and one that does not.

use crate::guest::*;
use std::fs;
use wfaas_vm::{FuncType, ValType};
use wfaas_wasi::preview1::{Support, UNSTABLE, support};

#[test]
fn records_and_numbers_are_those_of_before() {
    for mode in [Mode::Blocking, Mode::Pool] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "12345").unwrap();
        fs::hard_link(folder.path().join("file"), folder.path().join("same")).unwrap();
        let mut guest = Guest::of_module(UNSTABLE, host(folder.path(), false), mode);
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        assert_eq!(guest.read(fd, 3), Ok(b"123".to_vec()));
        assert_eq!(guest.seek(fd, -1, 0), Ok(2), "0 is from the position on");
        assert_eq!(guest.seek(fd, -1, 1), Ok(4), "1 is from the end on");
        assert_eq!(guest.seek(fd, 1, 2), Ok(1), "2 is from the beginning on");
        assert_eq!(guest.seek(fd, 1, 3), Err(errno::INVAL));
        let [at, len] = guest.path(0, "same");
        for (name, args) in [
            ("fd_filestat_get", vec![fd.into(), RESULT]),
            ("path_filestat_get", vec![3, 0, at, len, RESULT]),
        ] {
            guest.put(RESULT, &[0xaa; 64]);
            guest.ok(name, &args);
            assert_eq!(guest.get(RESULT + 16, 1), [4], "{name}");
            assert_eq!((guest.u32(RESULT + 20), guest.u64(RESULT + 24)), (2, 5), "{name}");
            assert_eq!(guest.get(RESULT + 56, 8), [0xaa; 8], "{name} writes 56 bytes");
        }
    }
}

#[test]
fn a_clock_has_an_identifier_before_all_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut guest = Guest::of_module(UNSTABLE, host(folder.path(), false), Mode::Pool);
    let mut records = [0; 112];
    records[0] = 7;
    records[24] = 1; // monotonic
    records[32..40].copy_from_slice(&1_000_000u64.to_le_bytes());
    records[56] = 8;
    records[56 + 24] = 1;
    records[56 + 32..56 + 40].copy_from_slice(&3_600_000_000_000u64.to_le_bytes());
    guest.put(DATA, &records);
    guest.ok("poll_oneoff", &[DATA, DATA + 1000, 2, RESULT]);
    assert_eq!(guest.u32(RESULT), 1);
    assert_eq!(guest.get(DATA + 1000, 11), [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn it_has_all_but_the_function_that_came_later() {
    let two = FuncType::new([ValType::I32, ValType::I32], [ValType::I32]);
    let three = FuncType::new([ValType::I32; 3], [ValType::I32]);
    assert_eq!(support(UNSTABLE, "fd_prestat_get", &two), Support::Works);
    assert_eq!(support(UNSTABLE, "sock_accept", &three), Support::Missing);
    let exit = FuncType::new([ValType::I32], []);
    assert_eq!(support(UNSTABLE, "proc_exit", &exit), Support::Works);
}
