//! Ways out of a directory, none of which is one.

use crate::guest::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A directory `in` for the guest, with a secret beside it.
fn prison(folder: &Path) {
    fs::create_dir_all(folder.join("in/dir/deep")).unwrap();
    fs::create_dir(folder.join("out")).unwrap();
    fs::write(folder.join("out/secret"), "secret").unwrap();
    fs::write(folder.join("in/file"), "public").unwrap();
    symlink("../out", folder.join("in/up")).unwrap();
    symlink("../out/secret", folder.join("in/stolen")).unwrap();
    symlink(folder.join("out"), folder.join("in/absolute")).unwrap();
    symlink("../../../out", folder.join("in/dir/deep/up")).unwrap();
    symlink("/proc/self/root", folder.join("in/magic")).unwrap();
    symlink("/", folder.join("in/root")).unwrap();
}

/// Everything below `out`, to see that nothing has changed.
fn outside(folder: &Path) -> (Vec<String>, Vec<u8>, std::time::SystemTime) {
    let names = fs::read_dir(folder.join("out")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let secret = folder.join("out/secret");
    let modified = fs::metadata(&secret).unwrap().modified().unwrap();
    (names, fs::read(secret).unwrap(), modified)
}

#[test]
fn no_path_leads_out() {
    for mode in [Mode::Blocking, Mode::Pool] {
        let folder = tempfile::tempdir().unwrap();
        prison(folder.path());
        let before = outside(folder.path());
        let mut guest = Guest::new(host(&folder.path().join("in"), false), mode);
        let absolute = folder.path().join("out/secret");
        let parents = [
            "..",
            "../out",
            "../in",
            "dir/../..",
            "dir/../../out",
            "up",
            "up/.",
            "absolute",
            "root",
            "root/etc",
            "dir/deep/up",
            "./../out",
            "dir/deep/../../../out",
            "../../../../../../../etc",
        ];
        for parent in parents {
            for name in ["secret", "new", "."] {
                let path = format!("{parent}/{name}");
                all_refuse(&mut guest, &path);
            }
        }
        all_refuse(&mut guest, absolute.to_str().unwrap());
        for followed in ["stolen", "up", "absolute", "root", "up/", "root/", "absolute/"] {
            assert_eq!(guest.open(DIR, followed, 0, READING), Err(errno::PERM), "{followed}");
            assert_eq!(guest.open(DIR, followed, TRUNC, ALL), Err(errno::PERM), "{followed}");
            assert_eq!(guest.stat(DIR, FOLLOW, followed), Err(errno::PERM), "{followed}");
            assert_eq!(
                guest.link((DIR, FOLLOW, followed), (DIR, "got")),
                errno::PERM,
                "{followed}"
            );
        }
        // A slash at the end follows, whatever the flags say.
        for slash in ["up/", "root/", "absolute/", "magic/"] {
            assert_ne!(guest.stat(DIR, 0, slash).err(), None, "{slash}");
            let [at, len] = guest.path(0, slash);
            let set = [3, 0, at, len, 0, 0, 0b1010];
            assert_ne!(guest.call("path_filestat_set_times", &set), 0, "{slash}");
            assert_ne!(guest.link((DIR, 0, slash), (DIR, "got")), 0, "{slash}");
            assert!(guest.readlink(DIR, slash, 9).is_err(), "{slash}");
            assert_ne!(guest.rename((DIR, slash), (DIR, "got")), 0, "{slash}");
            assert_ne!(guest.at_path("path_remove_directory", DIR, slash), 0, "{slash}");
        }
        assert_eq!(outside(folder.path()), before);
        assert!(!folder.path().join("in/got").exists());
    }
}

/// Everything that a path can be used for says that it may not.
#[track_caller]
fn all_refuse(guest: &mut Guest, path: &str) {
    let refused = |errno: u16| assert_eq!(errno, errno::PERM, "{path}");
    for flags in [0, CREAT, TRUNC, DIRECTORY, CREAT | EXCL] {
        refused(guest.open(DIR, path, flags, ALL).unwrap_err());
    }
    refused(guest.stat(DIR, 0, path).unwrap_err());
    refused(guest.stat(DIR, FOLLOW, path).unwrap_err());
    refused(guest.readlink(DIR, path, 100).unwrap_err());
    for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
        refused(guest.at_path(name, DIR, path));
    }
    refused(guest.symlink("file", DIR, path));
    refused(guest.rename((DIR, path), (DIR, "got")));
    refused(guest.rename((DIR, "file"), (DIR, path)));
    for follow in [0, FOLLOW] {
        refused(guest.link((DIR, follow, path), (DIR, "got")));
        refused(guest.link((DIR, follow, "file"), (DIR, path)));
        let [at, len] = guest.path(0, path);
        refused(guest.call("path_filestat_set_times", &[3, follow, at, len, 0, 0, 0b1010]));
    }
}

#[test]
fn magic_links_of_proc_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let open = fs::File::open(folder.path().join("secret")).unwrap();
    let mut guest = Guest::new(host("/proc/self".as_ref(), false), Mode::Blocking);
    let by_descriptor = format!("fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
    for path in ["root", "root/etc/passwd", "cwd", "cwd/Cargo.toml", "exe", &by_descriptor] {
        let opened = guest.open(DIR, path, 0, READING);
        assert!(matches!(opened, Err(errno::LOOP | errno::PERM)), "{path}: {opened:?}");
        let stat = guest.stat(DIR, FOLLOW, path);
        assert!(matches!(stat, Err(errno::LOOP | errno::PERM)), "{path}: {stat:?}");
    }
}

/// Ends the thread that swaps, also after a failed assertion.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A thread swaps a directory with a symlink that leads out, while the guest uses paths through it.
#[test]
fn symlinks_swapped_during_the_call_do_not_lead_out() {
    let folder = tempfile::tempdir().unwrap();
    prison(folder.path());
    let inside = folder.path().join("in");
    fs::create_dir(inside.join("swap")).unwrap();
    for name in ["secret", "victim"] {
        fs::write(inside.join("swap").join(name), "public").unwrap();
    }
    fs::write(folder.path().join("out/victim"), "secret").unwrap();
    symlink("../out", inside.join("other")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| {
            let cwd = rustix::fs::CWD;
            let (one, other) = (inside.join("swap"), inside.join("other"));
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            while !done.load(Relaxed) {
                rustix::fs::renameat_with(cwd, &one, cwd, &other, exchange).unwrap();
            }
        });
        let mut guest = Guest::new(host(&inside, false), Mode::Blocking);
        let mut seen = 0;
        for round in 0..3000 {
            if let Ok(fd) = guest.open(DIR, "swap/secret", 0, ALL) {
                assert_eq!(guest.read(fd, 10), Ok(b"public".to_vec()));
                guest.ok("fd_close", &[fd.into()]);
                seen += 1;
            }
            let new = format!("swap/new{}", round % 7);
            let _ = guest.at_path("path_create_directory", DIR, &new);
            let _ = guest.at_path("path_remove_directory", DIR, &new);
            let _ = guest.at_path("path_unlink_file", DIR, "swap/victim");
            let _ = guest.symlink("x", DIR, "swap/link");
            let _ = guest.rename((DIR, "swap/secret"), (DIR, "swap/moved"));
            let _ = guest.rename((DIR, "swap/moved"), (DIR, "swap/secret"));
            let _ = guest.link((DIR, FOLLOW, "swap/secret"), (DIR, "linked"));
            if let Ok(fd) = guest.open(DIR, "linked", 0, READ) {
                assert_eq!(guest.read(fd, 10), Ok(b"public".to_vec()));
                guest.ok("fd_close", &[fd.into()]);
            }
            let _ = guest.at_path("path_unlink_file", DIR, "linked");
        }
        assert!(seen > 0, "it was the directory now and then");
    });
    let out = folder.path().join("out");
    let mut names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|one| one.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["secret", "victim"]);
    assert_eq!(fs::read(out.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read(out.join("victim")).unwrap(), b"secret");
}
