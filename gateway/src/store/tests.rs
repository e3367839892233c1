use super::*;
use std::io::Write;
use wfaas_function::Spec;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const C: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn entry(name: &str, hash: &str) -> Entry {
    Entry::new(name.parse().unwrap(), hash.to_owned(), Spec::default())
}

fn try_put(store: &mut Store, name: &str, hash: &str) -> Result<(), StoreError> {
    let mut staged = store.layout().stage()?;
    staged.write_all(hash.as_bytes()).unwrap();
    store.commit(staged, &entry(name, hash))
}

fn put(store: &mut Store, name: &str, hash: &str) {
    try_put(store, name, hash).unwrap();
}

/// Opens the store again: the functions, and the artifact of each.
fn reopen(dir: &Path) -> (Store, Vec<(String, String)>) {
    let mut store = Store::open(dir).unwrap();
    let all = store.read_all().unwrap();
    let all = all.into_iter().map(|(name, entry)| (name.to_string(), entry.unwrap().artifact));
    (store, all.collect())
}

fn list(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, hash)| (name.to_string(), hash.to_string())).collect()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    put(&mut store, "f", A);
    put(&mut store, "f-g", A);
    drop(store);
    let (store, all) = reopen(dir.path());
    assert_eq!(all, list(&[("f", A), ("f-g", A)]));
    assert_eq!(fs::read(store.layout().blob(A)).unwrap(), A.as_bytes());
}

#[test]
fn artifacts_live_as_long_as_a_function_uses_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    put(&mut store, "f", A);
    put(&mut store, "g", A);
    put(&mut store, "g", B);
    let (a, b) = (store.layout().blob(A), store.layout().blob(B));
    assert!(a.exists() && b.exists());
    assert!(store.remove(&"f".parse().unwrap()).unwrap());
    assert!(!store.remove(&"f".parse().unwrap()).unwrap());
    assert!(!a.exists() && b.exists());
    put(&mut store, "g", B);
    assert!(b.exists(), "deployed again");
}

#[test]
fn leftovers_of_an_interrupted_deployment_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    put(&mut store, "f", A);
    let b = store.layout().blob(B);
    drop(store);
    fs::write(dir.path().join("tmp/half"), b"hal").unwrap();
    fs::write(&b, b"no function refers to it").unwrap();
    let (_store, all) = reopen(dir.path());
    assert!(!dir.path().join("tmp/half").exists() && !b.exists());
    assert_eq!(all, list(&[("f", A)]));
}

#[test]
fn a_damaged_file_is_named_and_costs_no_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    put(&mut store, "f", A);
    drop(store);
    let file = dir.path().join("functions/f.json");
    let json = fs::read_to_string(&file).unwrap();
    for (damage, reason) in [
        (json[..json.len() / 2].to_owned(), "EOF"),
        (json.replace(": 1", ": 9"), "version 9"),
        (json.replace(A, "../../../etc/passwd"), "hexadecimal"),
        (json.replace("\"f\"", "\"g\""), "function g"),
        (json.replace("\"f\"", "\"../f\""), "no function name"),
    ] {
        assert_ne!(damage, json);
        fs::write(&file, &damage).unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let (name, entry) = store.read_all().unwrap().remove(0);
        let error = entry.unwrap_err().to_string();
        assert_eq!(name.as_str(), "f");
        assert!(error.contains("f.json") && error.contains(reason), "{reason}: {error}");
        put(&mut store, "g", B);
        put(&mut store, "g", A);
        assert!(store.layout().blob(A).exists() && store.layout().blob(B).exists());
        // Repaired, or gone: then all artifacts are known again.
        fs::write(&file, &json).unwrap();
        assert_eq!(store.read(&name).unwrap().artifact, A);
        store.remove(&"g".parse().unwrap()).unwrap();
        assert!(store.layout().blob(A).exists());
    }
}

#[test]
fn files_that_are_no_functions_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    put(&mut store, "f", A);
    drop(store);
    for name in ["F.json", "f.json~", ".f.json.swp", "f"] {
        fs::write(dir.path().join("functions").join(name), b"{").unwrap();
    }
    let (_store, all) = reopen(dir.path());
    assert_eq!(all, list(&[("f", A)]));
    assert!(dir.path().join("functions/f.json~").exists());
}

/// The functions before and after a change, and whether it was acknowledged, for a disk that is gone
/// after each number of steps.
fn at_each_step(change: impl Fn(&mut Store) -> Result<(), StoreError>, after: &[(&str, &str)]) {
    let before = [("f", A), ("g", B)];
    for most in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        before.iter().for_each(|(name, hash)| put(&mut store, name, hash));
        let (changed, steps) = files::steps::at_most(most, || change(&mut store));
        drop(store);
        let (store, found) = reopen(dir.path());
        let is_new = matches!(&changed, Ok(()) | Err(StoreError::Unsynced { .. }));
        let expected = if is_new { list(after) } else { list(&before) };
        assert_eq!(found, expected, "{changed:?} after {most} of {steps} steps");
        for (_, hash) in &found {
            assert_eq!(fs::read(store.layout().blob(hash)).unwrap(), hash.as_bytes());
        }
        let blobs = fs::read_dir(store.layout().blobs()).unwrap().count();
        let hashes: std::collections::BTreeSet<_> = found.iter().map(|(_, hash)| hash).collect();
        assert_eq!(blobs, hashes.len(), "after {most} of {steps} steps");
        if steps <= most {
            assert!(changed.is_ok() && steps > 0);
            return;
        }
    }
}

#[test]
fn a_change_that_is_acknowledged_is_there_and_another_one_is_not() {
    at_each_step(|store| try_put(store, "f", C), &[("f", C), ("g", B)]);
    at_each_step(|store| try_put(store, "f", B), &[("f", B), ("g", B)]);
    at_each_step(|store| try_put(store, "h", C), &[("f", A), ("g", B), ("h", C)]);
    at_each_step(|store| store.remove(&"f".parse().unwrap()).map(drop), &[("g", B)]);
}

#[test]
fn a_change_costs_the_same_however_many_functions_there_are() {
    let steps = |others: usize| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        for number in 0..others {
            put(&mut store, &format!("other-{number}"), &format!("{number:064x}"));
        }
        let new = files::steps::at_most(usize::MAX, || put(&mut store, "f", A)).1;
        let replaced = files::steps::at_most(usize::MAX, || put(&mut store, "f", B)).1;
        let remove = || store.remove(&"f".parse().unwrap()).unwrap();
        let (was_there, removed) = files::steps::at_most(usize::MAX, remove);
        assert!(was_there);
        (new, replaced, removed)
    };
    assert_eq!(steps(0), steps(40));
}

#[test]
fn a_store_has_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse(_))));
    drop(store);
    assert!(Store::open(dir.path()).is_ok());
}
