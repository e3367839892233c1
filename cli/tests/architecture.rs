//! Which crate may know which, as a table. Whoever adds an edge changes it here and in
//! ARCHITECTURE.md.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// Our crates and those of ours they may depend on. Tests may use more.
const ALLOWED: &[(&str, &[&str])] = &[
    ("wfaas-abi", &[]),
    ("wfaas-snapshot", &[]),
    ("wfaas-compiler", &["wfaas-abi"]),
    ("wfaas-vm", &["wfaas-abi", "wfaas-snapshot"]),
    ("wfaas-host", &["wfaas-abi", "wfaas-vm"]),
    ("wfaas-gateway", &["wfaas-abi", "wfaas-host", "wfaas-vm"]),
    ("faascli", &["wfaas-abi", "wfaas-compiler", "wfaas-gateway", "wfaas-host", "wfaas-vm"]),
    ("wfaas-spec-tests", &["wfaas-abi", "wfaas-compiler", "wfaas-host", "wfaas-vm"]),
    ("wfaas-differential", &["wfaas-abi", "wfaas-compiler", "wfaas-vm"]),
    ("wfaas-benches", &["wfaas-abi", "wfaas-compiler", "wfaas-host", "wfaas-snapshot", "wfaas-vm"]),
];

/// Engines that benches and tests compare with. The product never depends on them.
const PEERS: &[&str] = &["wasmtime", "wasmi"];

/// The packages of the workspace.
fn packages() -> Vec<cargo_metadata::Package> {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata works")
        .packages
}

/// Our crates and those of ours they depend on outside of tests.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let packages = packages();
    let ours: BTreeSet<String> = packages.iter().map(|package| package.name.to_string()).collect();
    let edges = |package: &cargo_metadata::Package| {
        let dependencies = package.dependencies.iter();
        let own = dependencies.filter(|dependency| dependency.kind != DependencyKind::Development);
        own.map(|dependency| dependency.name.clone()).filter(|name| ours.contains(name)).collect()
    };
    packages.iter().map(|package| (package.name.to_string(), edges(package))).collect()
}

#[test]
fn dependencies_go_in_one_direction() {
    let edges = edges();
    let listed: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
    for (name, dependencies) in &edges {
        let allowed = ALLOWED.iter().find(|(allowed, _)| allowed == name);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("{name} is new: give it a place among {listed:?}"));
        for dependency in dependencies {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not know {dependency}; it may know {allowed:?}"
            );
        }
    }
    let unknown: Vec<_> = listed.into_iter().filter(|name| !edges.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are in the table, but not in the workspace");
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
    for root in ["abi/src/lib.rs", "compiler/src/lib.rs", "gateway/src/lib.rs", "cli/src/main.rs"] {
        let path = format!("{}/../{root}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect(root);
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root} does not forbid unsafe code");
    }
}
