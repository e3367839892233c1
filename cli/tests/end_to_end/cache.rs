//! The cache of builds, through the real binary.

use super::support::{faascli, saying, scratch, write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A build with a cache in `folder`; whether it was taken from there, and the bytes of the artifact.
fn build(folder: &Path, module: &Path, options: &[&str]) -> (bool, Vec<u8>) {
    let output = folder.join("out.faas");
    let mut command = faascli(&["build", "--json", "-o"]);
    command.arg(&output).arg(module).args(options).env("XDG_CACHE_HOME", folder.join("cache"));
    let finished = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(0), "{stderr}");
    let summary: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    (summary["cached"].as_bool().unwrap(), std::fs::read(output).unwrap())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.join("cache/wfaas/builds")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

fn cache_command(folder: &Path, args: &[&str]) -> serde_json::Value {
    let mut command = faascli(&["cache", "--json"]);
    command.args(args).env("XDG_CACHE_HOME", folder.join("cache"));
    serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
}

#[test]
fn the_second_build_is_taken_from_the_cache() {
    let folder = scratch();
    std::fs::create_dir(folder.path().join("cache")).unwrap();
    let module = write(folder.path(), "a.wat", saying("one"));
    let (cached, first) = build(folder.path(), &module, &[]);
    assert!(!cached);
    let (cached, second) = build(folder.path(), &module, &[]);
    assert!(cached);
    assert_eq!(first, second);
    assert!(!build(folder.path(), &module, &["--no-cache"]).0);
    for options in [
        &["--opt", "fast"][..],
        &["--cpu", "x86-64-v2"],
        &["--bounds", "trap"],
        &["--no-init"],
        &["--init-time", "5s"],
        &["--disable", "simd"],
        &["--env", "A=1"],
        &["--", "argument"],
    ] {
        assert!(!build(folder.path(), &module, options).0, "{options:?}");
        assert!(build(folder.path(), &module, options).0, "{options:?}");
    }
    write(folder.path(), "a.wat", saying("two"));
    assert!(!build(folder.path(), &module, &[]).0);
    write(folder.path(), "a.wat", saying("one"));
    assert!(build(folder.path(), &module, &[]).0, "it was there before");
    let summary = cache_command(folder.path(), &[]);
    assert_eq!(summary["entries"], 10);
    assert_eq!(cache_command(folder.path(), &["--clear"])["entries"], 0);
    assert!(!build(folder.path(), &module, &[]).0);
}

#[test]
fn damaged_entries_are_built_anew() {
    let folder = scratch();
    std::fs::create_dir(folder.path().join("cache")).unwrap();
    let module = write(folder.path(), "a.wat", saying("one"));
    let (_, first) = build(folder.path(), &module, &[]);
    let entry = entries(folder.path()).pop().unwrap();
    let mut bytes = std::fs::read(&entry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&entry, bytes).unwrap();
    let (cached, again) = build(folder.path(), &module, &[]);
    assert!(!cached);
    assert_eq!(first, again);
    assert!(build(folder.path(), &module, &[]).0, "the entry is whole again");
}

#[test]
fn builds_at_once_do_not_disturb_each_other() {
    let folder = scratch();
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let module = write(folder.path(), "a.wat", saying("one"));
    let outputs: Vec<_> = (0..6).map(|n| folder.path().join(format!("{n}.faas"))).collect();
    let start = |output: &PathBuf| {
        let mut command = faascli(&["build", "-o"]);
        command.arg(output).arg(&module).env("XDG_CACHE_HOME", &cache);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = outputs.iter().map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let files: Vec<_> = outputs.iter().map(|output| std::fs::read(output).unwrap()).collect();
    assert!(files.iter().all(|file| *file == files[0]));
    assert_eq!(entries(folder.path()).len(), 1);
    assert!(build(folder.path(), &module, &[]).0);
}

/// Nobody's folder of caches, and one that others can write to, are no cache.
#[test]
fn without_a_folder_of_ones_own_every_build_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let folder = scratch();
    let module = write(folder.path(), "a.wat", saying("one"));
    let cache = folder.path().join("cache/wfaas");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o777)).unwrap();
    for _ in 0..2 {
        assert!(!build(folder.path(), &module, &[]).0);
    }
    assert_eq!(cache_command(folder.path(), &[])["usable"], false);
    assert_eq!(std::fs::read_dir(cache).unwrap().count(), 0);
}
