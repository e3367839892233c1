use super::*;
use std::io::Write;
use wfaas_function::Spec;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn entry(name: &str, hash: &str) -> Entry {
    Entry::new(name.parse().unwrap(), hash.to_owned(), Spec::default())
}

fn put(store: &Store, name: &str, hash: &str, content: &[u8]) {
    let mut staged = store.stage().unwrap();
    staged.write_all(content).unwrap();
    store.commit(staged, &entry(name, hash)).unwrap();
}

fn names(store: &Store) -> Vec<String> {
    let entries = store.entries().unwrap();
    entries.into_iter().map(|entry| entry.unwrap().name.to_string()).collect()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    put(&store, "f", A, b"one");
    put(&store, "g", A, b"one");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(names(&store), ["f", "g"]);
    assert_eq!(fs::read(store.blob(A)).unwrap(), b"one");
}

#[test]
fn artifacts_live_as_long_as_a_function_uses_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    put(&store, "f", A, b"one");
    put(&store, "g", A, b"one");
    put(&store, "g", B, b"two");
    assert_eq!(store.collect_garbage().unwrap(), 0);
    assert!(store.remove(&"f".parse().unwrap()).unwrap());
    assert!(!store.remove(&"f".parse().unwrap()).unwrap());
    assert_eq!(store.collect_garbage().unwrap(), 1);
    assert!(!store.blob(A).exists());
    assert!(store.blob(B).exists());
}

#[test]
fn leftovers_of_an_interrupted_deployment_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    put(&store, "f", A, b"one");
    drop(store);
    fs::write(dir.path().join("tmp/half"), b"hal").unwrap();
    fs::write(dir.path().join(format!("blobs/{B}.faas")), b"no function refers to it").unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(!dir.path().join("tmp/half").exists());
    assert_eq!(store.collect_garbage().unwrap(), 1);
    assert_eq!(names(&store), ["f"]);
}

#[test]
fn a_damaged_file_is_named_and_costs_no_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    put(&store, "f", A, b"one");
    let json = fs::read_to_string(dir.path().join("functions/f.json")).unwrap();
    for (damage, reason) in [
        (json[..json.len() / 2].to_owned(), "EOF"),
        (json.replace(": 1", ": 9"), "version 9"),
        (json.replace(A, "../../../etc/passwd"), "hexadecimal"),
        (json.replace("\"f\"", "\"g\""), "function g"),
        (json.replace("\"f\"", "\"../f\""), "no function name"),
    ] {
        assert_ne!(damage, json);
        fs::write(dir.path().join("functions/f.json"), &damage).unwrap();
        let error = store.entries().unwrap().remove(0).unwrap_err().to_string();
        assert!(error.contains("f.json") && error.contains(reason), "{reason}: {error}");
        assert_eq!(store.collect_garbage().unwrap(), 0);
        assert!(store.blob(A).exists());
    }
}

#[test]
fn a_store_has_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse(_))));
    drop(store);
    assert!(Store::open(dir.path()).is_ok());
}
