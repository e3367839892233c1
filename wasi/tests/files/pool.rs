//! Work on the host's files while its guest is suspended.

use crate::guest::*;
use std::fs;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use wfaas_wasi::files::Files;

/// Nothing that a pool does here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn what_may_block_goes_to_the_pool_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let mut guest = Guest::new(host(folder.path(), false), Mode::Pool);
    let jobs = guest.jobs.clone();
    let fd = guest.open(DIR, "file", 0, ALL).unwrap();
    assert_eq!(jobs.load(SeqCst), 1);
    guest.read(fd, 1).unwrap();
    assert_eq!(jobs.load(SeqCst), 2);
    guest.seek(fd, 0, 0).unwrap();
    guest.ok("fd_fdstat_get", &[fd.into(), RESULT]);
    guest.ok("fd_prestat_get", &[3, RESULT]);
    guest.read(0, 1).unwrap();
    guest.write(1, b"x").unwrap();
    assert_eq!(jobs.load(SeqCst), 2);
    guest.seek(fd, 0, 2).unwrap();
    assert_eq!(jobs.load(SeqCst), 3);
    // Closing may write to the disk; a stream is closed at once.
    guest.ok("fd_close", &[fd.into()]);
    assert_eq!(jobs.load(SeqCst), 4);
    guest.ok("fd_close", &[0]);
    assert_eq!(jobs.load(SeqCst), 4);
    let [one, other] = [(); 2].map(|()| guest.open(DIR, "file", 0, ALL).unwrap());
    assert_eq!(jobs.load(SeqCst), 6);
    guest.ok("fd_renumber", &[one.into(), other.into()]);
    assert_eq!(jobs.load(SeqCst), 7);
    drop(guest);
    assert_eq!(jobs.load(SeqCst), 8, "the file and the directory that are open, in one job");
}

#[test]
fn a_pool_that_loses_a_job_is_an_error_of_the_device() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let lose: fn(&mut Files) = |files| files.set_pool(Box::new(drop));
    let panics: fn(&mut Files) = |files| {
        files.set_pool(Box::new(|job| {
            let lost = std::thread::spawn(move || {
                let _job = job;
                panic!("a test's panic");
            });
            drop(lost);
        }));
    };
    for set in [lose, panics] {
        let mut guest = Guest::with_pool(host(folder.path(), false), set);
        assert_eq!(guest.open(DIR, "file", 0, READING), Err(29));
    }
}

/// Each guest has its own descriptors, and they are gone with it.
#[test]
fn nothing_of_a_guest_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let path = fs::canonicalize(folder.path().join("file")).unwrap();
    let is_open = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target == path)
    };
    for mode in [Mode::Blocking, Mode::Pool] {
        let mut guest = Guest::new(host(folder.path(), false), mode);
        guest.open(DIR, "file", 0, READING).unwrap();
        assert!(is_open());
        drop(guest);
        // The pool closes it.
        let started = Instant::now();
        while mode == Mode::Pool && is_open() && started.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        assert!(!is_open());
    }
}
