//! Names that come, go and change.

use crate::guest::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
fn directories_are_made_and_removed() {
    each_mode(|guest, folder| {
        let make = "path_create_directory";
        assert_eq!(guest.at_path(make, DIR, "a"), 0);
        assert_eq!(guest.at_path(make, DIR, "a/b/"), 0);
        assert!(folder.join("a/b").is_dir());
        fs::write(folder.join("file"), "").unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        for (path, expected) in [
            ("a", errno::EXIST),
            ("file", errno::EXIST),
            ("dangling", errno::EXIST),
            (".", errno::EXIST),
            ("missing/x", errno::NOENT),
            ("file/x", errno::NOTDIR),
            ("", errno::NOENT),
            ("..", errno::PERM),
            ("../x", errno::PERM),
            ("/x", errno::PERM),
            (&"x".repeat(256), errno::NAMETOOLONG),
        ] {
            assert_eq!(guest.at_path(make, DIR, path), expected, "{path:?}");
        }
        let remove = "path_remove_directory";
        symlink("a", folder.join("link")).unwrap();
        for (path, expected) in [
            ("a", errno::NOTEMPTY),
            ("file", errno::NOTDIR),
            ("link", errno::NOTDIR),
            ("link/", errno::NOTDIR),
            ("missing", errno::NOENT),
            ("a/missing", errno::NOENT),
            ("a/b/.", errno::INVAL),
            ("a/b/..", errno::NOTEMPTY),
            ("", errno::NOENT),
            ("..", errno::PERM),
            ("/x", errno::PERM),
        ] {
            assert_eq!(guest.at_path(remove, DIR, path), expected, "{path:?}");
        }
        assert_eq!(guest.at_path(remove, DIR, "a/b"), 0);
        assert_eq!(guest.at_path(remove, DIR, "a/"), 0);
        assert!(!folder.join("a").exists());
        for name in [make, remove, "path_unlink_file"] {
            assert_eq!(guest.at_path(name, 9, "x"), errno::BADF);
            assert_eq!(guest.at_path(name, 0, "x"), errno::NOTDIR);
            assert_eq!(guest.at_path(name, DIR, b"\xff"), errno::ILSEQ);
            assert_eq!(guest.at_path(name, DIR, "a\0b"), errno::INVAL);
            assert_eq!(guest.at_path(name, DIR, "x".repeat(5000)), errno::NAMETOOLONG);
            assert_eq!(guest.call(name, &[3, MEMORY - 1, 2]), errno::FAULT);
        }
    });
}

#[test]
fn files_are_unlinked() {
    each_mode(|guest, folder| {
        let unlink = "path_unlink_file";
        fs::write(folder.join("file"), "").unwrap();
        fs::create_dir(folder.join("dir")).unwrap();
        symlink("file", folder.join("link")).unwrap();
        symlink("dir", folder.join("dirlink")).unwrap();
        for (path, expected) in [
            ("dir", errno::ISDIR),
            ("dir/", errno::ISDIR),
            ("file/", errno::NOTDIR),
            ("dirlink/", errno::NOTDIR),
            ("missing", errno::NOENT),
            ("..", errno::PERM),
        ] {
            assert_eq!(guest.at_path(unlink, DIR, path), expected, "{path:?}");
        }
        assert_eq!(guest.at_path(unlink, DIR, "link"), 0);
        assert!(folder.join("file").exists(), "the symlink, not its target");
        assert_eq!(guest.at_path(unlink, DIR, "dirlink"), 0);
        assert_eq!(guest.at_path(unlink, DIR, "dir/../file"), 0);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    });
}

#[test]
fn names_change_and_replace_others() {
    each_mode(|guest, folder| {
        fs::write(folder.join("a"), "a").unwrap();
        fs::write(folder.join("b"), "b").unwrap();
        fs::create_dir_all(folder.join("dir/full")).unwrap();
        fs::create_dir(folder.join("empty")).unwrap();
        assert_eq!(guest.rename((DIR, "a"), (DIR, "b")), 0);
        assert_eq!(fs::read(folder.join("b")).unwrap(), b"a");
        let dir = guest.open(DIR, "dir", DIRECTORY, READING).unwrap();
        assert_eq!(guest.rename((DIR, "b"), (dir, "c")), 0);
        assert_eq!(guest.rename((dir, "c"), (DIR, "a")), 0);
        for (from, to, expected) in [
            ("missing", "x", errno::NOENT),
            ("a", "missing/x", errno::NOENT),
            ("a", "empty", errno::ISDIR),
            ("empty", "a", errno::NOTDIR),
            ("empty", "dir", errno::NOTEMPTY),
            ("dir", "dir/full/x", errno::INVAL),
            ("a/", "x", errno::NOTDIR),
            ("a", "x/", errno::NOTDIR),
            (".", "x", errno::BUSY),
            ("a", "..", errno::PERM),
            ("..", "x", errno::PERM),
            ("a", "../x", errno::PERM),
            ("/a", "x", errno::PERM),
            ("", "x", errno::NOENT),
            ("a", "", errno::NOENT),
        ] {
            assert_eq!(guest.rename((DIR, from), (DIR, to)), expected, "{from:?} {to:?}");
        }
        assert_eq!(guest.rename((DIR, "empty/"), (DIR, "moved/")), 0);
        assert_eq!(guest.rename((9, "a"), (DIR, "x")), errno::BADF);
        assert_eq!(guest.rename((DIR, "a"), (9, "x")), errno::BADF);
        assert_eq!(guest.rename((DIR, "a"), (1, "x")), errno::NOTDIR);
    });
}

#[test]
fn files_get_more_names() {
    each_mode(|guest, folder| {
        fs::write(folder.join("a"), "a").unwrap();
        fs::create_dir(folder.join("dir")).unwrap();
        symlink("a", folder.join("link")).unwrap();
        symlink("dir", folder.join("dirlink")).unwrap();
        let inode = |name: &str| fs::symlink_metadata(folder.join(name)).unwrap().ino();
        assert_eq!(guest.link((DIR, 0, "a"), (DIR, "dir/b")), 0);
        assert_eq!(inode("dir/b"), inode("a"));
        assert_eq!(guest.link((DIR, 0, "link"), (DIR, "c")), 0);
        assert_eq!(inode("c"), inode("link"), "the symlink itself");
        assert_eq!(guest.link((DIR, FOLLOW, "link"), (DIR, "d")), 0);
        assert_eq!(inode("d"), inode("a"));
        for (from, follow, to, expected) in [
            ("missing", 0, "x", errno::NOENT),
            ("a", 0, "d", errno::EXIST),
            ("a", 0, "missing/x", errno::NOENT),
            ("dir", 0, "x", errno::PERM),
            ("dir/", 0, "x", errno::PERM),
            ("dirlink/", 0, "x", errno::PERM),
            ("a/", 0, "x", errno::NOTDIR),
            ("a", 0, "x/", errno::NOENT),
            ("a", 0, "../x", errno::PERM),
            ("../a", 0, "x", errno::PERM),
            ("/a", FOLLOW, "x", errno::PERM),
        ] {
            assert_eq!(guest.link((DIR, follow, from), (DIR, to)), expected, "{from:?} {to:?}");
        }
        assert_eq!(guest.link((9, 0, "a"), (DIR, "x")), errno::BADF);
        assert_eq!(guest.link((DIR, 0, "a"), (0, "x")), errno::NOTDIR);
    });
}

#[test]
fn symlinks_are_made_and_read() {
    each_mode(|guest, folder| {
        fs::write(folder.join("file"), "x").unwrap();
        assert_eq!(guest.symlink("file", DIR, "link"), 0);
        assert_eq!(guest.readlink(DIR, "link", 100), Ok("file".to_owned()));
        assert_eq!(guest.readlink(DIR, "link", 2), Ok("fi".to_owned()), "as much as fits");
        assert_eq!(guest.readlink(DIR, "link", 0), Ok(String::new()));
        assert_eq!(guest.symlink("../outside", DIR, "up"), 0, "it is only text");
        assert_eq!(guest.open(DIR, "up", 0, READING), Err(errno::PERM));
        for (target, path, expected) in [
            ("x", "file", errno::EXIST),
            ("x", "link", errno::EXIST),
            ("x", "missing/y", errno::NOENT),
            ("x", "y/", errno::NOENT),
            ("", "y", errno::NOENT),
            ("/etc", "y", errno::PERM),
            ("x", "../y", errno::PERM),
            ("x", "/y", errno::PERM),
        ] {
            assert_eq!(guest.symlink(target, DIR, path), expected, "{target:?} {path:?}");
        }
        symlink("/etc/passwd", folder.join("absolute")).unwrap();
        for (path, expected) in [
            ("file", errno::INVAL),
            (".", errno::INVAL),
            ("missing", errno::NOENT),
            ("absolute", errno::PERM),
            ("../x", errno::PERM),
        ] {
            assert_eq!(guest.readlink(DIR, path, 100), Err(expected), "{path:?}");
        }
        assert_eq!(guest.readlink(9, "link", 1), Err(errno::BADF));
        assert_eq!(guest.symlink("x", 9, "y"), errno::BADF);
        let [at, len] = guest.path(0, "link");
        assert_eq!(guest.call("path_readlink", &[3, at, len, MEMORY - 1, 2, RESULT]), errno::FAULT);
        assert_eq!(guest.call("path_readlink", &[3, at, len, DATA, 2, MEMORY - 3]), errno::FAULT);
    });
}
