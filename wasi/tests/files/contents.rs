//! Reading, writing, sizes, times and storage of files.

use crate::guest::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
fn large_files_are_read_and_written_whole() {
    each_mode(|guest, folder| {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
        let fd = guest.open(DIR, "large", CREAT, ALL).unwrap();
        assert_eq!(guest.write(fd, &bytes), Ok(3_000_000));
        assert!(fs::read(folder.join("large")).unwrap() == bytes);
        assert_eq!(guest.seek(fd, 0, 1), Ok(3_000_000));
        guest.put(DATA, &[0; 3_000_000]);
        assert!(guest.pread(fd, 3_100_000, 0).unwrap() == bytes);
        guest.seek(fd, 2_999_990, 0).unwrap();
        assert_eq!(guest.read(fd, 3_100_000).unwrap(), bytes[2_999_990..]);
    });
}

#[test]
fn buffers_are_used_in_order() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "abcdefgh").unwrap();
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        let iovecs: Vec<u8> = [(DATA as u32, 3u32), (DATA as u32 + 100, 0), (DATA as u32 + 50, 4)]
            .into_iter()
            .flat_map(|(at, len)| [at.to_le_bytes(), len.to_le_bytes()].concat())
            .collect();
        guest.put(700, &iovecs);
        guest.ok("fd_read", &[fd.into(), 700, 3, RESULT]);
        assert_eq!(guest.u32(RESULT), 7);
        assert_eq!(guest.get(DATA, 4), b"abc\0");
        assert_eq!(guest.get(DATA + 50, 5), b"defg\0");
        guest.ok("fd_pwrite", &[fd.into(), 700, 3, 4, RESULT]);
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"abcdabcdefg");
        guest.ok("fd_read", &[fd.into(), 700, 0, RESULT]);
        assert_eq!(guest.u32(RESULT), 0);
        assert_eq!(guest.call("fd_read", &[fd.into(), 700, 1025, RESULT]), errno::INVAL);
    });
}

#[test]
fn descriptors_that_cannot_be_read_or_written() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "x").unwrap();
        let write_only = guest.open(DIR, "file", 0, WRITE | SEEK).unwrap();
        assert_eq!(guest.read(write_only, 1), Err(errno::NOTCAPABLE));
        assert_eq!(guest.read(DIR, 1), Err(errno::ISDIR));
        assert_eq!(guest.write(DIR, b"x"), Err(errno::BADF));
        assert_eq!(guest.pread(DIR, 1, 0), Err(errno::ISDIR));
        assert_eq!(guest.pwrite(DIR, b"x", 0), Err(errno::BADF));
        assert_eq!(guest.pread(0, 1, 0), Err(errno::SPIPE));
        assert_eq!(guest.pwrite(1, b"x", 0), Err(errno::SPIPE));
        for fd in [9, u32::MAX] {
            assert_eq!(guest.read(fd, 1), Err(errno::BADF));
            assert_eq!(guest.write(fd, b"x"), Err(errno::BADF));
            assert_eq!(guest.pread(fd, 1, 0), Err(errno::BADF));
            assert_eq!(guest.pwrite(fd, b"x", 0), Err(errno::BADF));
        }
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        assert_eq!(guest.pread(fd, 1, u64::MAX), Err(errno::INVAL));
        assert_eq!(guest.pwrite(fd, b"x", u64::MAX), Err(errno::INVAL));
        assert_eq!(guest.pwrite(fd, b"x", 1 << 63), Err(errno::INVAL));
        assert_eq!(guest.pwrite(fd, b"x", i64::MAX as u64), Err(errno::INVAL));
    });
}

#[test]
fn status_of_files_directories_and_links() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "12345").unwrap();
        fs::hard_link(folder.join("file"), folder.join("same")).unwrap();
        symlink("file", folder.join("link")).unwrap();
        let fd = guest.open(DIR, "file", 0, READING).unwrap();
        guest.ok("fd_filestat_get", &[fd.into(), RESULT]);
        let by_descriptor = guest.get(RESULT, 64);
        assert_eq!(guest.stat(DIR, FOLLOW, "link"), Ok((4, 5)));
        assert_eq!(guest.get(RESULT, 64), by_descriptor, "through a symlink it is the same");
        assert_eq!(guest.u64(RESULT + 24), 2, "links");
        let meta = fs::metadata(folder.join("file")).unwrap();
        assert_eq!([guest.u64(RESULT), guest.u64(RESULT + 8)], [meta.dev(), meta.ino()]);
        let modified = meta.mtime() as u64 * 1_000_000_000 + meta.mtime_nsec() as u64;
        assert_eq!(guest.u64(RESULT + 48), modified);
        assert_eq!(guest.stat(DIR, 0, "link"), Ok((7, 4)));
        assert_eq!(guest.stat(DIR, 0, ".").map(|stat| stat.0), Ok(3));
        guest.ok("fd_filestat_get", &[3, RESULT]);
        assert_eq!(guest.get(RESULT + 16, 1), [3]);
        for (path, expected) in [
            ("missing", errno::NOENT),
            ("file/x", errno::NOTDIR),
            ("", errno::NOENT),
            ("..", errno::PERM),
            ("/", errno::PERM),
        ] {
            assert_eq!(guest.stat(DIR, 0, path), Err(expected), "{path}");
        }
        assert_eq!(guest.stat(9, 0, "file"), Err(errno::BADF));
        assert_eq!(guest.stat(fd, 0, "file"), Err(errno::NOTDIR));
        assert_eq!(guest.call("fd_filestat_get", &[9, RESULT]), errno::BADF);
        assert_eq!(guest.call("fd_filestat_get", &[fd.into(), MEMORY - 63]), errno::FAULT);
    });
}

#[test]
fn times_are_set_kept_and_made_present() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "x").unwrap();
        symlink("file", folder.join("link")).unwrap();
        let times = |name: &str| {
            let meta = fs::symlink_metadata(folder.join(name)).unwrap();
            (meta.atime(), meta.mtime(), meta.mtime_nsec())
        };
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        let fd = u64::from(fd);
        guest.ok("fd_filestat_set_times", &[fd, 5_000_000_007, 6_000_000_008, 0b0101]);
        assert_eq!(times("file"), (5, 6, 8));
        guest.ok("fd_filestat_set_times", &[fd, 0, 9_000_000_000, 0b0100]);
        assert_eq!(times("file"), (5, 9, 0));
        guest.ok("fd_filestat_set_times", &[fd, 0, 0, 0]);
        assert_eq!(times("file"), (5, 9, 0));
        guest.ok("fd_filestat_set_times", &[fd, 0, 0, 0b1010]);
        assert!(times("file").1 > 1_700_000_000);
        for both in [0b0011, 0b1100, 0b1_0000] {
            assert_eq!(guest.call("fd_filestat_set_times", &[fd, 1, 1, both]), errno::INVAL);
        }
        assert_eq!(guest.call("fd_filestat_set_times", &[9, 1, 1, 1]), errno::BADF);
        assert_eq!(guest.call("fd_filestat_set_times", &[1, 1, 1, 1]), errno::BADF);
        let [at, len] = guest.path(0, "link");
        let set = |follow| [3, follow, at, len, 1_000_000_000, 2_000_000_000, 0b0101];
        guest.ok("path_filestat_set_times", &set(0));
        assert_eq!(times("link"), (1, 2, 0));
        assert!(times("file").1 > 1_700_000_000, "the symlink itself");
        guest.ok("path_filestat_set_times", &set(FOLLOW));
        assert_eq!(times("file"), (1, 2, 0));
        guest.ok("fd_filestat_set_times", &[3, 0, 3_000_000_000, 0b0100]);
        assert_eq!(times(".").1, 3);
        for (path, expected) in
            [("missing", errno::NOENT), ("../x", errno::PERM), ("file/x", errno::NOTDIR)]
        {
            let [at, len] = guest.path(0, path);
            let args = [3, 0, at, len, 0, 0, 0b1010];
            assert_eq!(guest.call("path_filestat_set_times", &args), expected, "{path}");
        }
        let [at, len] = guest.path(0, "file");
        assert_eq!(guest.call("path_filestat_set_times", &[3, 0, at, len, 0, 0, 3]), errno::INVAL);
        assert_eq!(guest.call("path_filestat_set_times", &[9, 0, at, len, 0, 0, 0]), errno::BADF);
    });
}

#[test]
fn sizes_and_storage() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "12345").unwrap();
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        let fd = u64::from(fd);
        guest.ok("fd_filestat_set_size", &[fd, 2]);
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"12");
        guest.ok("fd_filestat_set_size", &[fd, 4]);
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"12\0\0");
        guest.ok("fd_allocate", &[fd, 3, 5]);
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"12\0\0\0\0\0\0");
        guest.ok("fd_allocate", &[fd, 0, 1]);
        assert_eq!(fs::read(folder.join("file")).unwrap().len(), 8, "never shorter");
        for advice in 0..6 {
            guest.ok("fd_advise", &[fd, 0, 0, advice]);
        }
        guest.ok("fd_sync", &[fd]);
        guest.ok("fd_datasync", &[fd]);
        guest.ok("fd_sync", &[3]);
        guest.ok("fd_datasync", &[3]);
        for (name, args, expected) in [
            ("fd_filestat_set_size", vec![fd, 1 << 63], errno::INVAL),
            ("fd_filestat_set_size", vec![3, 1], errno::BADF),
            ("fd_filestat_set_size", vec![1, 1], errno::BADF),
            ("fd_filestat_set_size", vec![9, 1], errno::BADF),
            ("fd_allocate", vec![fd, 0, 0], errno::INVAL),
            ("fd_allocate", vec![fd, i64::MAX as u64, 1], errno::FBIG),
            ("fd_allocate", vec![fd, u64::MAX, u64::MAX], errno::FBIG),
            ("fd_allocate", vec![3, 0, 1], errno::BADF),
            ("fd_allocate", vec![1, 0, 1], errno::SPIPE),
            ("fd_allocate", vec![9, 0, 1], errno::BADF),
            ("fd_advise", vec![fd, 0, 0, 6], errno::INVAL),
            ("fd_advise", vec![fd, u64::MAX, 1, 0], errno::INVAL),
            ("fd_advise", vec![3, 0, 0, 0], errno::BADF),
            ("fd_advise", vec![0, 0, 0, 0], errno::SPIPE),
            ("fd_advise", vec![9, 0, 0, 0], errno::BADF),
            ("fd_sync", vec![1], errno::INVAL),
            ("fd_sync", vec![9], errno::BADF),
            ("fd_datasync", vec![0], errno::INVAL),
            ("fd_datasync", vec![9], errno::BADF),
        ] {
            assert_eq!(guest.call(name, &args), expected, "{name} {args:?}");
        }
    });
}

#[test]
fn a_file_stays_open_when_its_name_is_gone() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "here").unwrap();
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        assert_eq!(guest.at_path("path_unlink_file", DIR, "file"), 0);
        assert_eq!(guest.read(fd, 9), Ok(b"here".to_vec()));
        assert_eq!(guest.write(fd, b"!"), Ok(1));
        guest.ok("fd_filestat_get", &[fd.into(), RESULT]);
        assert_eq!([guest.u64(RESULT + 24), guest.u64(RESULT + 32)], [0, 5]);
    });
}

#[test]
fn files_are_ready_and_say_how_much_there_is() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "12345").unwrap();
        let fd = guest.open(DIR, "file", 0, ALL).unwrap();
        guest.read(fd, 2).unwrap();
        let blind = guest.open(DIR, "file", 0, READ).unwrap();
        let mut subscriptions = Vec::new();
        for (userdata, tag, what) in
            [(1u64, 1u8, fd), (2, 2, fd), (3, 1, DIR), (4, 1, blind), (5, 1, 9)]
        {
            let mut record = [0; 48];
            record[..8].copy_from_slice(&userdata.to_le_bytes());
            record[8] = tag;
            record[16..20].copy_from_slice(&what.to_le_bytes());
            subscriptions.extend(record);
        }
        guest.put(DATA, &subscriptions);
        guest.ok("poll_oneoff", &[DATA, DATA + 1000, 5, RESULT]);
        assert_eq!(guest.u32(RESULT), 5);
        let event = |guest: &Guest, index: u64| {
            let event = guest.get(DATA + 1000 + 32 * index, 32);
            (event[0], u16::from_le_bytes([event[8], event[9]]), event[10], event[16])
        };
        assert_eq!(event(guest, 0), (1, 0, 1, 3), "bytes from the position on");
        assert_eq!(event(guest, 1), (2, 0, 2, 0));
        assert_eq!(event(guest, 2), (3, errno::BADF, 1, 0));
        assert_eq!(event(guest, 3), (4, errno::NOTCAPABLE, 1, 0));
        assert_eq!(event(guest, 4), (5, errno::BADF, 1, 0));
    });
}
