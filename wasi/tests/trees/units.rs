//! Limits, times and listings of trees in memory and in bundles.

use crate::common::{TREE, bundle, host, memory, on_host, over};
use std::collections::BTreeSet;
use std::sync::Arc;
use wfaas_wasi::files::{
    Directory, Durability, Error, File, FileType, Follow, MemoryDirectory, Node, OpenOptions,
    Timestamp, TreeLimits, WriteAt,
};

const WRITE: OpenOptions = OpenOptions { write: true, create: true, ..OpenOptions::READ };

fn file(directory: &dyn Directory, path: &str, options: OpenOptions) -> Arc<dyn File> {
    match directory.open(path, options) {
        Ok(Node::File(file)) => file,
        other => panic!("{path} is no file: {other:?}"),
    }
}

fn write(file: &dyn File, bytes: &[u8]) -> Result<usize, Error> {
    file.write(bytes, WriteAt::End, Durability::None).map(|written| written.bytes)
}

fn content(directory: &dyn Directory, path: &str) -> Vec<u8> {
    let file = file(directory, path, OpenOptions::READ);
    let mut bytes = vec![0; file.stat().unwrap().size as usize];
    let count = file.read(&mut bytes, 0).unwrap();
    assert_eq!(count, bytes.len());
    bytes
}

#[test]
fn times_of_a_bundle_are_seconds_and_nothing_waits() {
    let bundle = bundle(TREE);
    assert!(!bundle.blocks());
    let stat = bundle.stat_at("a/b/c", Follow::Yes).unwrap();
    assert_eq!((stat.modified, stat.size), (Timestamp(7_000_000_000), 4));
    assert_ne!(bundle.stat().unwrap().device, memory(0).stat().unwrap().device);
}

#[test]
fn an_overlay_leaves_the_lower_tree_as_it_is() {
    let lower = bundle(TREE);
    let tree = over(lower.clone(), 1 << 20);
    let upper = file(&*tree, "a/b/c", OpenOptions { create: false, ..WRITE });
    let before = tree.stat_at("a/b/c", Follow::No).unwrap();
    write(&*upper, b"er").unwrap();
    let after = tree.stat_at("a/b/c", Follow::No).unwrap();
    assert_eq!((before.device, before.inode), (after.device, after.inode));
    assert!(after.modified > before.modified);
    tree.unlink("b").unwrap();
    tree.rename("a/c", &*tree, "moved").unwrap();
    assert_eq!(content(&*tree, "l/b/c"), b"deeper");
    assert_eq!(content(&*lower, "l/b/c"), b"deep");
    assert_eq!(content(&*tree, "moved"), b"content");
    assert_eq!(tree.stat_at("b", Follow::No).unwrap_err(), Error::NotFound);
    assert_eq!(tree.stat_at("a/c", Follow::No).unwrap_err(), Error::NotFound);
    assert_eq!(content(&*lower, "b"), b"bytes of b");
    assert_eq!(tree.rename("a", &*tree, "z").unwrap_err(), Error::CrossDevice);
}

/// An open file sees what is written by another name or handle after it was opened.
#[test]
fn a_file_that_was_open_before_the_first_write_sees_it() {
    let tree = over(bundle(TREE), 1 << 20);
    let reader = file(&*tree, "a/c", OpenOptions::READ);
    tree.link("a/c", Follow::No, &*tree, "other").unwrap();
    write(&*file(&*tree, "other", WRITE), b"!").unwrap();
    tree.unlink("a/c").unwrap();
    tree.unlink("other").unwrap();
    let mut bytes = [0; 20];
    assert_eq!(reader.read(&mut bytes, 0), Ok(8));
    assert_eq!(&bytes[..8], b"content!");
    assert_eq!(reader.stat().unwrap().links, 0);
}

#[test]
fn bytes_and_nodes_are_limited_and_come_back() {
    for tree in [memory(64 << 10), over(bundle(TREE), 64 << 10)] {
        let big = file(&*tree, "big", WRITE);
        let mut written = 0;
        let error = loop {
            match write(&*big, &[1; 5000]) {
                Ok(bytes) => written += bytes,
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::NoSpace);
        assert!((40 << 10..64 << 10).contains(&written), "{written}");
        big.set_size(1 << 40).unwrap();
        assert_eq!(big.allocate(0, 1 << 40), Err(Error::NoSpace));
        big.set_size(0).unwrap();
        assert_eq!(write(&*big, &vec![1; written]), Ok(written));
        tree.unlink("big").unwrap();
        assert_eq!(write(&*file(&*tree, "more", WRITE), &[1; 5000]), Err(Error::NoSpace));
        drop(big);
        assert_eq!(write(&*file(&*tree, "more", WRITE), &[1; 5000]), Ok(5000));
        tree.unlink("more").unwrap();
        let names: Vec<String> = (0..).map(|n: u32| n.to_string()).take(1000).collect();
        let made = names.iter().take_while(|name| tree.create_directory(name).is_ok()).count();
        assert!((10..=64).contains(&made), "{made}");
        names[..made].iter().for_each(|name| tree.remove_directory(name).unwrap());
        let again = names.iter().take_while(|name| tree.create_directory(name).is_ok()).count();
        assert_eq!(made, again);
    }
}

/// Names that nothing of the tree is changed by can be opened without end, and take no room.
#[test]
fn reading_the_lower_tree_takes_no_room() {
    let tree = over(bundle(TREE), 0);
    for _ in 0..10_000 {
        for path in ["a/b/c", "a/c", "b", "a/b", "c"] {
            tree.open(path, OpenOptions::READ).unwrap();
        }
    }
    for change in [tree.unlink("b"), tree.create_directory("x"), tree.symlink("a", "y")] {
        assert_eq!(change, Err(Error::NoSpace));
    }
    let writer = file(&*tree, "b", OpenOptions { write: true, ..OpenOptions::READ });
    assert_eq!(write(&*writer, b"x"), Err(Error::NoSpace));
    assert_eq!(content(&*tree, "b"), b"bytes of b");
}

#[test]
fn a_copy_that_does_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("big"), vec![7; 1 << 20]).unwrap();
    let tree = over(host(folder.path(), true), 512 << 10);
    assert!(tree.blocks());
    let big = file(&*tree, "big", OpenOptions { write: true, ..OpenOptions::READ });
    assert_eq!(write(&*big, b"x"), Err(Error::NoSpace));
    assert_eq!(big.stat().unwrap().size, 1 << 20);
    big.set_size(10).unwrap();
    assert_eq!(write(&*big, b"x"), Ok(1));
    assert_eq!(content(&*tree, "big"), [&[7; 10][..], b"x"].concat());
}

#[test]
fn a_listing_goes_on_whatever_comes_and_goes() {
    let names: Vec<String> = (0..50).map(|n| format!("{n}")).collect();
    let folder = on_host(&[("x", Some("")), ("y", Some(""))]);
    for tree in [memory(1 << 20), over(host(folder.path(), true), 1 << 20)] {
        names.iter().for_each(|name| drop(file(&*tree, name, WRITE)));
        let (mut seen, mut cookie, mut round) = (Vec::new(), 0, 0);
        loop {
            let entries = tree.list(cookie, 3).unwrap();
            let Some(last) = entries.last() else { break };
            cookie = last.next;
            seen.extend(entries.into_iter().map(|entry| entry.name));
            // One that was listed or will be goes, another one comes.
            let _ = tree.unlink(&names[49 - round]);
            if round < 5 {
                tree.create_directory(&format!("new {round}")).unwrap();
            }
            round += 1;
        }
        let all: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(all.len(), seen.len(), "twice: {seen:?}");
        let stayed = names.iter().filter(|name| tree.stat_at(name, Follow::No).is_ok());
        assert!(stayed.clone().count() > 20);
        stayed.for_each(|name| assert!(all.contains(name), "{name}"));
    }
}

#[test]
fn names_and_paths_have_limits() {
    let tree = memory(1 << 20);
    let long = "x".repeat(256);
    assert_eq!(tree.create_directory(&long), Err(Error::NameTooLong));
    assert_eq!(tree.create_directory(&long[1..]), Ok(()));
    for (target, path) in [("a", "l"), ("l", "a")] {
        tree.symlink(target, path).unwrap();
    }
    assert_eq!(tree.stat_at("l", Follow::Yes), Err(Error::Loop));
    assert_eq!(tree.stat_at("l", Follow::No).unwrap().kind, FileType::Symlink);
    let doubled = format!("{0}{0}", "z/".repeat(1000));
    tree.symlink(&doubled, "z").unwrap();
    assert_eq!(tree.stat_at("z", Follow::Yes), Err(Error::Loop));
    // Names count, wherever they come from: 2047 of a path, three times as many by two symlinks.
    let long = "./".repeat(2046) + ".";
    for (target, path) in [(&*long, "here"), (&*("here/".to_owned() + &long[5..]), "again")] {
        tree.symlink(target, path).unwrap();
    }
    assert_eq!(tree.stat_at(&long, Follow::Yes).unwrap().kind, FileType::Directory);
    assert_eq!(tree.stat_at("here", Follow::Yes).unwrap().kind, FileType::Directory);
    let third = "again/".to_owned() + &long[6..];
    assert_eq!(tree.stat_at(&third, Follow::Yes), Err(Error::Loop));
}

/// As Linux has it: a name with a slash after it is no name for a file, wherever the slash comes from.
#[test]
fn no_file_is_created_by_a_name_with_a_slash() {
    let tree = memory(1 << 20);
    file(&*tree, "file", WRITE);
    tree.create_directory("folder").unwrap();
    for name in ["file", "folder", "nothing"] {
        tree.symlink(&format!("{name}/"), &format!("to_{name}")).unwrap();
    }
    let paths = ["file/", "folder/", "nothing/", "to_file", "to_folder", "to_nothing", "to_file/"];
    for path in paths {
        assert_eq!(tree.open(path, WRITE).map(drop), Err(Error::IsDirectory), "{path}");
    }
    assert_eq!(tree.open("to_file", OpenOptions::READ).map(drop), Err(Error::NotDirectory));
}

/// A tree's handles are what keeps it; each root is a tree of its own.
#[test]
fn trees_have_nothing_in_common() {
    let (one, other) = (memory(1 << 20), memory(1 << 20));
    file(&*one, "a", WRITE);
    assert_eq!(one.rename("a", &*other, "a"), Err(Error::CrossDevice));
    assert_eq!(one.link("a", Follow::No, &*bundle(TREE), "a"), Err(Error::CrossDevice));
    assert_eq!(other.stat_at("a", Follow::No), Err(Error::NotFound));
    let Node::Directory(open) = one.open(".", OpenOptions::READ).unwrap() else { panic!() };
    drop(one);
    assert_eq!(open.stat_at("a", Follow::No).unwrap().kind, FileType::Regular);
    drop(MemoryDirectory::root(TreeLimits { bytes: 0, nodes: 0 }));
}

/// As for `readdir(3)`.
#[test]
fn a_directory_that_was_removed_while_it_is_open_has_no_entries() {
    let folder = tempfile::tempdir().unwrap();
    for tree in [host(folder.path(), false), memory(1 << 20), over(bundle(&[]), 1 << 20)] {
        tree.create_directory("d").unwrap();
        let Node::Directory(open) = tree.open("d", OpenOptions::READ).unwrap() else { panic!() };
        tree.remove_directory("d").unwrap();
        assert_eq!(open.list(0, 10).map(|entries| entries.len()), Ok(0));
    }
}
