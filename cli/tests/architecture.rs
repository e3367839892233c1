//! Which crate may know which: the picture in ARCHITECTURE.md, read as it is drawn. Whoever adds an
//! edge changes it there.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Engines that benches and tests compare with. The product never depends on them.
const PEERS: &[&str] = &["wasmtime", "wasmi"];

/// The packages of the workspace.
fn packages() -> Vec<cargo_metadata::Package> {
    MetadataCommand::new()
        .manifest_path(format!("{ROOT}/Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata works")
        .packages
}

/// The folder of a package, as the picture names it.
fn folder(package: &cargo_metadata::Package) -> String {
    let folder = package.manifest_path.parent().and_then(|folder| folder.file_name());
    folder.expect("a package has a folder").to_owned()
}

/// Our crates by folder, and those of ours they depend on outside of tests.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let packages = packages();
    let folders: BTreeMap<String, String> =
        packages.iter().map(|package| (package.name.to_string(), folder(package))).collect();
    let edges = |package: &cargo_metadata::Package| {
        let dependencies = package.dependencies.iter();
        let own = dependencies.filter(|dependency| dependency.kind != DependencyKind::Development);
        own.filter_map(|dependency| folders.get(&dependency.name).cloned()).collect()
    };
    packages.iter().map(|package| (folder(package), edges(package))).collect()
}

/// The lines of the picture, from the top: folders, and where their arrows go.
fn picture() -> Vec<(String, BTreeSet<String>)> {
    let page = std::fs::read_to_string(format!("{ROOT}/ARCHITECTURE.md")).expect("the page");
    let house = page.split("## The house").nth(1).expect("a section on the house");
    let picture = house.split("```").nth(1).expect("a picture");
    let names = |text: &str| -> Vec<String> {
        let words = text.split([' ', ',']).filter_map(|word| word.strip_suffix('/'));
        words.map(str::to_owned).collect()
    };
    let mut lines = Vec::new();
    for line in picture.lines() {
        let (from, to) = line.split_once("──→").unwrap_or((line, ""));
        let to: BTreeSet<String> = names(to).into_iter().collect();
        lines.extend(names(from).into_iter().map(|from| (from, to.clone())));
    }
    lines
}

#[test]
fn the_picture_has_every_edge_and_no_other() {
    let drawn: BTreeMap<_, _> = picture().into_iter().collect();
    assert_eq!(drawn, edges(), "left: as drawn in ARCHITECTURE.md; right: as it is");
}

#[test]
fn arrows_go_down() {
    let picture = picture();
    let place = |name: &str| picture.iter().position(|(from, _)| from == name);
    for (above, (from, to)) in picture.iter().enumerate() {
        for to in to {
            // What judges the product is drawn below it.
            let judge = ["spec-tests", "differential", "benches"].contains(&from.as_str());
            let below = place(to).unwrap_or_else(|| panic!("{to} has no line"));
            assert!(judge || below > above, "{from} is drawn below {to}");
        }
    }
}

#[test]
fn peers_are_for_comparison_only() {
    for package in packages() {
        let compares = ["wfaas-benches", "wfaas-differential"].contains(&package.name.as_str());
        for dependency in package.dependencies {
            let peer = PEERS.contains(&dependency.name.as_str());
            let product = dependency.kind != DependencyKind::Development && !compares;
            assert!(!(peer && product), "{} depends on {}", package.name, dependency.name);
        }
    }
}

#[test]
fn what_must_be_free_of_unsafe_code_says_so() {
    for root in [
        "abi/src/lib.rs",
        "compiler/src/lib.rs",
        "wasi/src/lib.rs",
        "function/src/lib.rs",
        "build/src/lib.rs",
        "gateway/src/lib.rs",
        "log/src/lib.rs",
        "cli/src/main.rs",
    ] {
        let text = std::fs::read_to_string(format!("{ROOT}/{root}")).expect(root);
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root} does not forbid unsafe code");
    }
}

/// The Rust files below a folder.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The options of a command line in a line of code: two dashes and a letter after something that is
/// neither a dash nor part of a word.
fn options(line: &str) -> Option<&str> {
    let code = &line[..line.find("//").unwrap_or(line.len())];
    code.match_indices("--").find_map(|(at, _)| {
        let after = code[at + 2..].starts_with(|c: char| c.is_ascii_lowercase());
        let before = code[..at].ends_with(|c: char| c == '-' || c.is_alphanumeric());
        (after && !before).then_some(&code[at..])
    })
}

#[test]
fn libraries_know_no_options() {
    assert_eq!(options(r#"    "build it with --no-init""#), Some(r#"--no-init""#));
    assert_eq!(options("//! for `--disable`"), None);
    let mut files = Vec::new();
    for library in
        ["vm", "snapshot", "compiler", "wasi", "function", "build", "gateway", "abi", "log"]
    {
        sources(&Path::new(ROOT).join(library).join("src"), &mut files);
    }
    assert!(files.len() > 100);
    for path in files {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            assert_eq!(options(line), None, "{place}: what to do about it is for cli/ to say");
        }
    }
}

/// Text that prints to a stream of the process, in code.
const PRINTING: [&str; 8] = [
    "println!",
    "print!(",
    "eprintln!",
    "eprint!(",
    "stdout().lock",
    "stderr().lock",
    ".print()",
    ".exit()",
];

#[test]
fn one_file_prints() {
    let mut files = Vec::new();
    let crates =
        ["abi", "build", "cli", "compiler", "function", "gateway", "log", "snapshot", "vm"];
    for folder in crates.iter().chain(&["wasi"]) {
        sources(&Path::new(ROOT).join(folder).join("src"), &mut files);
    }
    // A guest's answer to `run` is bytes, which nobody changes.
    let allowed = ["cli/src/output.rs", "function/src/run.rs"];
    let mut printing = BTreeSet::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        let prints = |line: String| PRINTING.iter().any(|printing| line.contains(printing));
        if text.lines().map(code).any(prints) {
            let file = path.strip_prefix(ROOT).expect("below the root");
            printing.insert(file.display().to_string());
        }
    }
    assert_eq!(printing, allowed.map(str::to_owned).into(), "let cli/src/output.rs print it");
}
