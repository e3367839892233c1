//! The layers of this crate: api → pool → runtime → call → arch, sys. No file uses one of a higher
//! layer, neither by `use` nor by a full path, and no files import each other in a circle, except
//! the handles of the embedding API.
//!
//! How circles are counted: an edge leads from a file to every file of the crate that one of its
//! `use` declarations or `crate::` and `super::` paths names, comments aside; a circle is a strongly
//! connected component. Counted like this, the largest had 29 of 37 files when the crate was one
//! folder. Now it has 13 of 79, all of them handles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The layers, lowest first. Two layers in one line do not know each other.
const LAYERS: &[&[&str]] = &[&["arch", "sys"], &["call"], &["runtime"], &["pool"], &["api"]];

/// Files of the API that may import each other in a circle: handles, values, and the store.
const HANDLES: &[&str] = &[
    "api::caller",
    "api::exception",
    "api::externs",
    "api::func",
    "api::global",
    "api::host_func",
    "api::instance",
    "api::memory",
    "api::store",
    "api::table",
    "api::typed",
    "api::val",
    "api::wasm_ty",
];

/// Crates that make system calls for `sys.rs`, and for nobody else.
const KERNEL: &[&str] = &["rustix", "region", "corosensei"];

/// Files that use the kernel's constants and types, for signals.
const LIBC: &[&str] = &["sys", "sys::threads", "call::faults", "arch::x86_64::signal_frame"];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// All files but `lib.rs`, as module paths (`call::stack`), without their comments.
fn files() -> BTreeMap<String, String> {
    fn add(folder: &Path, module: &str, files: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let inside =
                |name: &str| format!("{module}{}{name}", if module.is_empty() { "" } else { "::" });
            if path.is_dir() {
                add(&path, &inside(&name), files);
            } else if name != "lib" {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.lines().map(|line| line.split("//").next().unwrap());
                let code = code.collect::<Vec<_>>().join("\n");
                files.insert(if name == "mod" { module.to_owned() } else { inside(&name) }, code);
            }
        }
    }
    let mut files = BTreeMap::new();
    add(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    files
}

/// The paths of a tree such as `a::{b, c::D}` at the start of `text`, and the rest of the text.
fn paths<'a>(text: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            match rest.strip_prefix('}') {
                Some(rest) => return rest,
                None => rest = paths(rest, prefix, found).trim_start(),
            }
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }
    let end =
        text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    assert!(end > 0 || prefix.is_empty(), "no path: {}", &text[..text.len().min(60)]);
    let mut path = prefix.to_vec();
    path.push(name.to_owned());
    match rest.strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => paths(rest, &path, found),
        _ => {
            found.push(path);
            match rest.trim_start().strip_prefix("as ") {
                Some(alias) => alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
                None => rest,
            }
        }
    }
}

/// The paths in `code` that start with `start`.
fn paths_from(code: &str, start: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(start) {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            paths(&code[at + start.len()..], &[], &mut found);
        }
    }
    found
}

/// The imports of each file.
fn graph() -> Graph {
    let files = files();
    let split = |module: &str| module.split("::").map(str::to_owned).collect::<Vec<_>>();
    let file_of = |path: &[String]| {
        let prefixes = (1..=path.len()).rev().map(|len| path[..len].join("::"));
        prefixes.into_iter().find(|prefix| files.contains_key(prefix))
    };
    let mut graph = Graph::new();
    for (module, code) in &files {
        let mut named = paths_from(code, "crate::");
        let mut parent = split(module);
        parent.pop();
        named.extend(paths_from(code, "super::").into_iter().filter(|path| path[0] != "*").map(
            |path| {
                assert_ne!(path[0], "super", "{module}: a path from the root is clearer");
                [parent.clone(), path].concat()
            },
        ));
        // A folder's own file names its children without a prefix.
        for line in code.lines().filter_map(|line| line.split_once("mod ")) {
            let child = line.1.trim_end_matches(';');
            let of_child = paths_from(code, &format!("{child}::"));
            named.extend(
                of_child.into_iter().map(|path| [split(module), split(child), path].concat()),
            );
        }
        let imports = graph.entry(module.clone()).or_default();
        for path in named {
            let file =
                file_of(&path).unwrap_or_else(|| panic!("{module}: which file is {path:?}?"));
            if file != *module {
                imports.insert(file);
            }
        }
    }
    graph
}

/// The files that `from` needs, directly or not.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut todo: Vec<&String> = graph[from].iter().collect();
    while let Some(file) = todo.pop() {
        if reached.insert(file.clone()) {
            todo.extend(&graph[file]);
        }
    }
    reached
}

/// The circles of more than one file, largest first.
fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reachable: BTreeMap<_, _> =
        graph.keys().map(|file| (file.clone(), reachable(graph, file))).collect();
    let circle = |file: &String| -> BTreeSet<String> {
        let others = reachable[file].iter().filter(|other| reachable[*other].contains(file));
        others.cloned().collect()
    };
    let circles: BTreeSet<_> = graph.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    let mut circles: Vec<_> = circles.into_iter().collect();
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

fn layer(file: &str) -> (usize, &str) {
    let folder = file.split("::").next().unwrap();
    let layer = LAYERS.iter().position(|layer| layer.contains(&folder));
    (layer.unwrap_or_else(|| panic!("{file} is in no layer")), folder)
}

#[test]
fn no_file_uses_a_higher_layer() {
    for (file, imports) in graph() {
        for import in imports {
            let ((from, own), (to, other)) = (layer(&file), layer(&import));
            assert!(to < from || own == other, "{file} must not know {import}");
        }
    }
}

#[test]
fn only_handles_import_each_other_in_a_circle() {
    let graph = graph();
    let circles = circles(&graph);
    let handles = HANDLES.iter().map(|file| file.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(circles, [handles], "of {} files", graph.len());
}

#[test]
fn system_calls_are_in_one_folder() {
    for (file, code) in files() {
        for name in KERNEL.iter().filter(|_| layer(&file).1 != "sys") {
            assert!(paths_from(&code, &format!("{name}::")).is_empty(), "{file} calls {name}");
        }
        let libc = !paths_from(&code, "libc::").is_empty();
        assert!(!libc || LIBC.contains(&file.as_str()), "{file} uses libc");
    }
}

/// The test reads paths as the compiler does.
#[test]
fn paths_are_read_with_groups_and_aliases() {
    let code =
        "use crate::a::{self, b::{C, D as E}, f::*};\nlet x = crate::g::h::<u8>(); xcrate::no";
    let found: Vec<String> =
        paths_from(code, "crate::").iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a::self", "a::b::C", "a::b::D", "a::f::*", "g::h"]);
    let graph = [("a", "b"), ("b", "c"), ("c", "b")];
    let graph: Graph = graph.map(|(from, to)| (from.into(), BTreeSet::from([to.into()]))).into();
    assert_eq!(circles(&graph), [BTreeSet::from(["b".to_owned(), "c".to_owned()])]);
}
