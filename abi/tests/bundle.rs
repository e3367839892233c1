//! Bundles: written and read, and read when damaged.

use proptest::prelude::*;
use std::collections::BTreeMap;
use wfaas_abi::artifact::bundle::{
    Bundle, BundleError, BundleStats, BundleWriter, MAX_NAME, MAX_NODES, Node, NodeKind,
};

/// The bytes of a bundle with `/lib/a` ("hi"), and `/b`, a link to `lib/a`.
fn small() -> Vec<u8> {
    let mut writer = BundleWriter::default();
    writer.file("lib/a", 7, b"hi".to_vec()).unwrap();
    writer.link("/b", -1, "lib/a").unwrap();
    writer.directory("/lib/", 5).unwrap();
    writer.finish()
}

#[test]
fn the_bytes_are_as_the_format_says() {
    let node = |parent: u32, kind: u32, name: [u32; 2], mtime: i64, start: u64, size: u64| {
        let mut bytes = [parent, kind, name[0], name[1]].map(u32::to_le_bytes).concat();
        bytes.extend(mtime.to_le_bytes());
        bytes.extend([start, size].map(u64::to_le_bytes).concat());
        bytes
    };
    let mut expected = b"WFAASFS\0".to_vec();
    expected.extend([1u32, 4].map(u32::to_le_bytes).concat());
    expected.extend([5u64, 32].map(u64::to_le_bytes).concat());
    expected.extend(node(0, 0, [0, 0], 0, 1, 2));
    expected.extend(node(0, 2, [0, 1], -1, 0, 5));
    expected.extend(node(0, 0, [1, 3], 5, 3, 1));
    expected.extend(node(2, 1, [4, 1], 7, 16, 2));
    expected.extend(b"bliba\0\0\0\0\0\0\0\0\0\0\0");
    expected.extend(b"lib/a\0\0\0\0\0\0\0\0\0\0\0");
    expected.extend(b"hi\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(small(), expected);
}

#[test]
fn nodes_are_found_by_name_and_place() {
    let bytes = small();
    let bundle = Bundle::parse(&bytes).unwrap();
    bundle.check().unwrap();
    let root = bundle.root();
    let names: Vec<&str> = root.children().map(|node| node.name()).collect();
    assert_eq!(names, ["b", "lib"]);
    let lib = root.child("lib").unwrap();
    assert_eq!((lib.kind(), lib.mtime(), lib.index()), (Some(NodeKind::Directory), 5, 2));
    let file = lib.child("a").unwrap();
    assert_eq!((file.content(), file.mtime(), file.target()), (&b"hi"[..], 7, None));
    assert_eq!((file.parent().index(), lib.parent().index(), root.parent().index()), (2, 0, 0));
    let link = root.child("b").unwrap();
    assert_eq!((link.target(), link.content(), link.mtime()), (Some("lib/a"), &b""[..], -1));
    assert!(root.child("l").is_none() && root.child("").is_none() && file.child("a").is_none());
    assert!(root.child_at(2).is_none());
    let stats = BundleStats { directories: 2, files: 1, links: 1, bytes: 2 };
    assert_eq!(bundle.stats(), stats);
    let empty = BundleWriter::default().finish();
    assert_eq!(Bundle::parse(&empty).unwrap().root().child_count(), 0);
    Bundle::parse(&empty).unwrap().check().unwrap();
}

#[test]
fn paths_that_cannot_be_are_refused_by_name() {
    let mut writer = BundleWriter::default();
    writer.file("a/b", 0, Vec::new()).unwrap();
    let long = "x".repeat(MAX_NAME + 1);
    for path in ["..", "a/../c", "a/.", "", "/", "nul\0", &long] {
        let error = writer.file(path, 0, Vec::new()).unwrap_err();
        assert!(matches!(error, BundleError::Path { .. }), "{path:?}: {error}");
    }
    for path in ["a", "a/b", "a/b/c", "/a//b"] {
        let error = writer.file(path, 0, Vec::new()).unwrap_err();
        assert_eq!(error, BundleError::Taken(path.to_owned()));
    }
    assert_eq!(writer.directory("a/b", 0), Err(BundleError::Taken("a/b".to_owned())));
    for target in ["", "a\0b", &"x".repeat(4096)] {
        assert_eq!(writer.link("l", 0, target), Err(BundleError::Target("l".to_owned())));
    }
}

#[test]
fn there_are_at_most_so_many_nodes() {
    let mut writer = BundleWriter::default();
    for number in 1..MAX_NODES {
        writer.directory(&number.to_string(), 0).unwrap();
    }
    assert_eq!(writer.directory("more", 0), Err(BundleError::TooMany("more".to_owned())));
    let bytes = writer.finish();
    let bundle = Bundle::parse(&bytes).unwrap();
    bundle.check().unwrap();
    assert_eq!(bundle.root().child_count() as usize, MAX_NODES - 1);
}

/// Calls every reader: each walk ends, and nothing panics.
fn read(bytes: &[u8]) {
    let Ok(bundle) = Bundle::parse(bytes) else { return };
    std::hint::black_box((bundle.stats(), bundle.check().is_ok()));
    for node in bundle.nodes() {
        let mut at = node;
        while at.index() != 0 {
            at = at.parent();
        }
        let first = node.child_at(0).map(|child| child.name());
        std::hint::black_box((node.target(), node.content().len(), node.child("a").is_some()));
        std::hint::black_box((first, node.children().all(|child| child.index() > node.index())));
    }
}

/// Files and links by path, links with an `l` before their names.
fn trees() -> impl Strategy<Value = BTreeMap<String, (i64, Vec<u8>)>> {
    let path = "[a-d]{1,2}(/[a-d]{1,2}){0,3}/[lf][a-z]{0,4}";
    proptest::collection::btree_map(
        path,
        (any::<i64>(), "[a-z]{1,40}".prop_map(String::into_bytes)),
        0..20,
    )
}

fn add(writer: &mut BundleWriter, path: &str, mtime: i64, content: &[u8]) {
    let name = path.rsplit('/').next().unwrap();
    let added = match name.starts_with('l') {
        true => writer.link(path, mtime, str::from_utf8(content).unwrap()),
        false => writer.file(path, mtime, content.to_vec()),
    };
    added.unwrap();
}

fn path_of(node: Node<'_>) -> String {
    let (mut path, mut at) = (node.name().to_owned(), node.parent());
    while at.index() != 0 {
        path = format!("{}/{path}", at.name());
        at = at.parent();
    }
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

    #[test]
    fn what_was_written_is_read(tree in trees()) {
        let (mut forth, mut back) = (BundleWriter::default(), BundleWriter::default());
        tree.iter().for_each(|(path, (mtime, content))| add(&mut forth, path, *mtime, content));
        tree.iter().rev().for_each(|(path, (mtime, content))| add(&mut back, path, *mtime, content));
        let bytes = forth.finish();
        prop_assert_eq!(&bytes, &back.finish());
        let bundle = Bundle::parse(&bytes).unwrap();
        bundle.check().unwrap();
        let leaves = bundle.nodes().filter(|node| node.kind() != Some(NodeKind::Directory));
        let found = leaves.map(|node| {
            let content = node.target().map_or(node.content(), str::as_bytes);
            (path_of(node), (node.mtime(), content.to_vec()))
        });
        prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), tree.clone());
        for path in tree.keys() {
            let found = path.split('/').try_fold(bundle.root(), |at, name| at.child(name));
            prop_assert_eq!(found.map(path_of), Some(path.clone()));
        }
    }

    #[test]
    fn damage_is_harmless(
        tree in trees(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8, any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut writer = BundleWriter::default();
        tree.iter().for_each(|(path, (mtime, content))| add(&mut writer, path, *mtime, content));
        let mut bytes = writer.finish();
        for (at, bit, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = if bit < 4 { bytes[at] ^ 1 << bit } else { value };
        }
        read(&bytes);
        read(&bytes[..cut.map_or(bytes.len(), |cut| cut.index(bytes.len()))]);
    }

    #[test]
    fn any_nodes_are_harmless(nodes in proptest::collection::vec(
        (0u32..6, 0u32..4, 0u32..6, 0u32..4, 0u64..8, 0u64..8), 1..6)
    ) {
        let mut bytes = b"WFAASFS\0".to_vec();
        bytes.extend([1, nodes.len() as u32].map(u32::to_le_bytes).concat());
        bytes.extend([4u64, 16].map(u64::to_le_bytes).concat());
        for (parent, kind, name, len, start, size) in &nodes {
            bytes.extend([*parent, *kind, *name, *len].map(u32::to_le_bytes).concat());
            bytes.extend([0, *start, *size].map(u64::to_le_bytes).concat());
        }
        bytes.extend(b"abca");
        bytes.resize(bytes.len().next_multiple_of(16) + 16, b'a');
        prop_assert!(Bundle::parse(&bytes).is_ok());
        read(&bytes);
    }
}
