//! Long work on trees in memory is done in parts, between which others have their turn.

use crate::common::{host, memory, over};
use std::fs;
use std::sync::Arc;
use wfaas_wasi::files::{Directory, Durability, Error, File, Node, OpenOptions, Result, WriteAt};

const WRITE: OpenOptions = OpenOptions { write: true, ..OpenOptions::READ };

const ROOM: u64 = 64 << 20;

/// Asks until the operation is finished; its result, and how often it was not.
fn finish<T>(mut operation: impl FnMut() -> Result<T>) -> (Result<T>, usize) {
    let mut parts = 0;
    loop {
        match operation() {
            Err(Error::Unfinished) => parts += 1,
            result => return (result, parts),
        }
    }
}

fn file(tree: &dyn Directory, path: &str, options: OpenOptions) -> Arc<dyn File> {
    match finish(|| tree.open(path, options)).0 {
        Ok(Node::File(file)) => file,
        other => panic!("{path} is no file: {other:?}"),
    }
}

#[test]
fn a_large_file_is_copied_up_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    fs::write(folder.path().join("big"), &bytes).unwrap();
    let tree = over(host(folder.path(), true), ROOM);
    let big = file(&*tree, "big", WRITE);
    let (written, parts) = finish(|| big.write(b"new", WriteAt::Offset(5), Durability::None));
    assert_eq!(written.map(|written| written.end), Ok(8));
    assert_eq!(parts, 7, "a part has 256 KiB");
    let mut read = vec![0; bytes.len() + 1];
    assert_eq!(big.read(&mut read, 0), Ok(bytes.len()));
    assert_eq!(read[..5], bytes[..5]);
    assert_eq!(&read[5..8], b"new");
    assert!(read[8..bytes.len()] == bytes[8..]);
    assert_eq!(fs::read(folder.path().join("big")).unwrap(), bytes);
}

/// A guest whose time is up leaves a copy in the middle; others do not have to go on with it.
#[test]
fn a_copy_that_was_given_up_is_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("big"), vec![7; 2_000_000]).unwrap();
    let tree = over(host(folder.path(), true), ROOM);
    let big = file(&*tree, "big", WRITE);
    assert_eq!(big.write(b"x", WriteAt::End, Durability::None), Err(Error::Unfinished));
    assert_eq!(big.stat().unwrap().size, 2_000_000);
    assert_eq!(finish(|| big.set_size(3)).0, Ok(()));
    let mut read = [0; 9];
    assert_eq!((big.read(&mut read, 0), &read[..3]), (Ok(3), &[7; 3][..]));
}

#[test]
fn a_large_file_is_allocated_and_cut_in_parts() {
    let tree = memory(ROOM);
    let big = file(&*tree, "big", OpenOptions { create: true, ..WRITE });
    assert_eq!(big.allocate(0, ROOM * 2), Err(Error::NoSpace));
    let (mut done, mut parts) = (0, 0);
    while done < ROOM / 2 {
        done += big.allocate(done, ROOM / 2 - done).unwrap();
        parts += 1;
    }
    assert_eq!((big.stat().unwrap().size, parts), (ROOM / 2, 64), "a part has 512 KiB");
    assert_eq!(finish(|| big.set_size(1)), (Ok(()), 15));
    // The room is there again, all of it.
    let (mut done, most) = (0, ROOM - ROOM / 8);
    while done < most {
        done += big.allocate(done, most - done).unwrap();
    }
}

#[test]
fn hidden_names_are_stepped_over_in_parts() {
    const NAMES: usize = 3000;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    fs::create_dir(&dir).unwrap();
    let names: Vec<String> = (0..NAMES).map(|number| format!("dir/{number}")).collect();
    names.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
    let tree = over(host(folder.path(), true), ROOM);
    names[1..].iter().for_each(|name| tree.unlink(name).unwrap());
    let Ok(Node::Directory(open)) = tree.open("dir", OpenOptions::READ) else { panic!() };
    assert_eq!(finish(|| tree.remove_directory("dir")).0, Err(Error::NotEmpty));
    let (listed, _) = finish(|| open.list(0, 10));
    assert_eq!(listed.unwrap().iter().map(|entry| &entry.name[..]).collect::<Vec<_>>(), ["0"]);
    tree.unlink(&names[0]).unwrap();
    let (listed, parts) = finish(|| open.list(0, 10));
    assert_eq!(listed, Ok(Vec::new()));
    assert!((2..20).contains(&parts), "{parts}");
    // Entries of its own come behind those.
    tree.create_directory("dir/own").unwrap();
    let own = finish(|| open.list(0, 10)).0.unwrap();
    assert_eq!((own.len(), &own[0].name[..]), (1, "own"));
    assert_eq!(finish(|| open.list(own[0].next, 10)).0, Ok(Vec::new()));
    tree.remove_directory("dir/own").unwrap();
    assert_eq!(finish(|| tree.remove_directory("dir")).0, Ok(()));
}

#[test]
fn what_takes_long_to_free_says_so() {
    let tree = memory(ROOM);
    assert!(!tree.closes_slowly());
    let big = file(&*tree, "big", OpenOptions { create: true, ..WRITE });
    let mut done = 0;
    while done < ROOM / 2 {
        done += big.allocate(done, ROOM / 2 - done).unwrap();
    }
    assert!(!tree.closes_slowly() && !big.closes_slowly(), "somebody else has the tree");
    // The file goes at once, its memory with the operations that follow.
    tree.unlink("big").unwrap();
    drop(big);
    assert!(tree.closes_slowly());
    let follow = (0..).find(|_| tree.stat().is_ok() && !tree.closes_slowly());
    assert_eq!(follow, Some(16), "512 pages each time");
    let folder = tempfile::tempdir().unwrap();
    assert!(host(folder.path(), true).closes_slowly());
}
