//! `fd_readdir`.

use crate::guest::*;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn every_entry_is_listed_once_whatever_the_buffer() {
    each_mode(|guest, folder| {
        let mut expected: Vec<String> = (0..1500).map(|number| format!("file-{number}")).collect();
        expected.push("x".repeat(255));
        expected.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        expected.sort();
        for room in [300, 301, 4096, 1 << 20] {
            let fd = guest.open(DIR, ".", DIRECTORY, READING).unwrap();
            assert_eq!(guest.names(fd, room), expected, "{room}");
            guest.ok("fd_close", &[fd.into()]);
        }
        assert_eq!(guest.names(DIR, 4096), expected);
        assert_eq!(guest.names(DIR, 4096), expected, "from the beginning again");
    });
}

#[test]
fn entries_have_types_and_the_first_are_the_directory_and_the_one_above() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "").unwrap();
        fs::create_dir(folder.join("dir")).unwrap();
        symlink("x", folder.join("link")).unwrap();
        let (entries, is_full) = guest.readdir(DIR, 0, 4096).unwrap();
        assert!(!is_full);
        assert_eq!(entries[0], (".".to_owned(), 3, 1));
        assert_eq!(entries[1], ("..".to_owned(), 3, 2));
        let own = guest.get(DATA, 24);
        guest.ok("fd_filestat_get", &[3, RESULT]);
        assert_eq!(own[8..16], guest.get(RESULT + 8, 8), "the inode");
        let mut kinds: Vec<_> = entries[2..].iter().map(|entry| (&entry.0[..], entry.1)).collect();
        kinds.sort();
        assert_eq!(kinds, [("dir", 3), ("file", 4), ("link", 7)]);
        let last = entries.last().unwrap().2;
        assert_eq!(guest.readdir(DIR, last, 4096), Ok((vec![], false)));
        assert_eq!(guest.readdir(DIR, 1, 4096).unwrap().0[0].0, "..");
    });
}

#[test]
fn cookies_stay_good_while_entries_come_and_go() {
    each_mode(|guest, folder| {
        let names: Vec<String> = (0..400).map(|number| format!("stays-{number}")).collect();
        names.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        let go = |number: usize| folder.join(format!("goes-{number}"));
        (0..400).for_each(|number| fs::write(go(number), "").unwrap());
        let fd = guest.open(DIR, ".", DIRECTORY, READING).unwrap();
        let (mut seen, mut cookie, mut number) = (Vec::new(), 0, 0);
        loop {
            let (entries, is_full) = guest.readdir(fd, cookie, 1000).unwrap();
            cookie = entries.last().map_or(cookie, |last| last.2);
            seen.extend(entries.into_iter().map(|entry| entry.0));
            if !is_full {
                break;
            }
            for _ in 0..20.min(400 - number) {
                fs::remove_file(go(number)).unwrap();
                fs::write(folder.join(format!("comes-{number}")), "").unwrap();
                number += 1;
            }
        }
        seen.retain(|name| name.starts_with("stays"));
        seen.sort();
        let mut names = names;
        names.sort();
        assert_eq!(seen, names);
    });
}

/// As `rm -r` does it: what was listed is removed before the listing goes on.
#[test]
fn a_directory_is_emptied_while_it_is_listed() {
    each_mode(|guest, folder| {
        (0..600).for_each(|number| fs::write(folder.join(format!("f{number}")), "").unwrap());
        let (mut cookie, mut removed) = (0, 0);
        loop {
            let (entries, is_full) = guest.readdir(DIR, cookie, 700).unwrap();
            cookie = entries.last().map_or(cookie, |last| last.2);
            for (name, _, _) in entries.iter().filter(|entry| !entry.0.starts_with('.')) {
                assert_eq!(guest.at_path("path_unlink_file", DIR, name), 0);
                removed += 1;
            }
            if !is_full {
                break;
            }
        }
        assert_eq!(removed, 600);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    });
}

#[test]
fn what_cannot_be_listed_says_why() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "").unwrap();
        let file = guest.open(DIR, "file", 0, READING).unwrap();
        assert_eq!(guest.readdir(file, 0, 100), Err(errno::NOTDIR));
        assert_eq!(guest.readdir(0, 0, 100), Err(errno::NOTDIR));
        assert_eq!(guest.readdir(9, 0, 100), Err(errno::BADF));
        assert_eq!(guest.readdir(DIR, u64::MAX, 100), Err(errno::INVAL));
        assert_eq!(guest.call("fd_readdir", &[3, MEMORY - 9, 10, 0, RESULT]), errno::FAULT);
        assert_eq!(guest.call("fd_readdir", &[3, DATA, 10, 0, MEMORY - 3]), errno::FAULT);
        guest.ok("fd_readdir", &[3, DATA, 0, 0, RESULT]);
        assert_eq!(guest.u32(RESULT), 0);
        guest.ok("fd_readdir", &[3, DATA, 10, 0, RESULT]);
        assert_eq!(guest.u32(RESULT), 10, "a part of the first entry");
    });
}

#[test]
fn names_that_are_no_text_are_not_shown() {
    use std::os::unix::ffi::OsStrExt;
    each_mode(|guest, folder| {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(b"bad-\xff")), "").unwrap();
        fs::write(folder.join("good"), "").unwrap();
        assert_eq!(guest.names(DIR, 4096), ["good"]);
    });
}
