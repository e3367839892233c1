//! Starts of artifacts that were checked before.

use super::support::{Finished, build, faascli, saying, scratch, write};
use std::path::Path;
use std::time::Duration;

/// `faascli` on this path, with a folder of caches.
fn on(caches: &Path, command: &[&str], path: &Path) -> Finished {
    let mut faascli = faascli(command);
    faascli.arg(path).env("XDG_CACHE_HOME", caches).output().expect("faascli starts").into()
}

/// Flips a bit of the answer in an artifact, in place, and takes care to leave size and time of
/// modification.
fn damage(artifact: &Path) {
    let mut bytes = std::fs::read(artifact).unwrap();
    let modified = std::fs::metadata(artifact).unwrap().modified().unwrap();
    let at = bytes.windows(6).rposition(|window| window == b"answer").unwrap();
    bytes[at] ^= 1;
    std::fs::write(artifact, bytes).unwrap();
    std::fs::File::options().write(true).open(artifact).unwrap().set_modified(modified).unwrap();
}

#[test]
fn damage_after_a_start_is_found_by_the_next() {
    let scratch = scratch();
    let caches = scratch.path().join("caches");
    let artifact = build(scratch.path(), "app", &saying("answer"));
    let folder = scratch.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    write(&folder, "a.wat", saying("answer"));
    write(&folder, "faas.toml", "wasm = 'a.wat'");
    on(&caches, &["build"], &folder).expect(0, &[]);
    let entries = || std::fs::read_dir(caches.join("wfaas/verified")).unwrap().count();
    let run = |path: &Path| on(&caches, &["run"], path).expect(0, &[]).stdout;

    assert_eq!(run(&artifact), "answer");
    assert_eq!(entries(), 0, "a file that was just written is not entered");
    std::thread::sleep(Duration::from_millis(2100));
    for path in [&artifact, &folder] {
        assert_eq!((run(path), run(path)), ("answer".to_owned(), "answer".to_owned()));
    }
    assert_eq!(entries(), 2);

    damage(&artifact);
    on(&caches, &["run"], &artifact).expect(2, &["app.faas", "hash"]);
    on(&caches, &["verify"], &artifact).expect(2, &["hash"]);
    assert_eq!(on(&caches, &["run", "--no-verify"], &artifact).expect(0, &[]).stdout, "`nswer");
    // A folder's artifact can be built again.
    damage(&folder.join("target/folder.faas"));
    let again = on(&caches, &["run"], &folder).expect(0, &["building folder"]);
    assert_eq!(again.stdout, "answer");
}

#[test]
fn a_home_that_cannot_be_written_is_no_obstacle() {
    let scratch = scratch();
    let artifact = build(scratch.path(), "app", &saying("answer"));
    for (name, value) in
        [("HOME", ""), ("HOME", "no/home"), ("HOME", "/proc"), ("HOME", "/dev/null")]
    {
        let mut command = faascli(&["run"]);
        command.arg(&artifact).env_remove("XDG_CACHE_HOME").env(name, value);
        let finished = Finished::from(command.output().unwrap()).expect(0, &[]);
        assert_eq!((&finished.stdout[..], &finished.stderr[..]), ("answer", ""), "{name}={value}");
    }
}
