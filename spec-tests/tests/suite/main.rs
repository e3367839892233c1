//! One test a script of the official suite and route. See the crate's documentation.

mod expected;
mod table;

use expected::Expected;
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Arc, Mutex, PoisonError};
use table::Totals;
use wfaas_spec_tests::{Report, Route, parts, run_script};

fn main() {
    let arguments = Arguments::from_args();
    let mut expected = Expected::from_list(include_str!("../../expected-failures.txt"));
    let mut totals = Vec::new();
    let mut trials = Vec::new();
    for route in Route::ALL {
        let prefix = route.prefix();
        for part in parts() {
            let total = Arc::<Mutex<Totals>>::default();
            let scripts = part.scripts.into_iter().filter(|script| route.concerns(script.text));
            for script in scripts {
                let name = format!("{prefix}{}/{}", part.name, script.name);
                let excuses = expected.of(&name, &prefix);
                let total = total.clone();
                let test = move || {
                    let report = run_script(script.text, part.proposals, route);
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(&report);
                    check(&report, &excuses)
                };
                trials.push(Trial::test(name, test));
            }
            totals.push((format!("{prefix}{}", part.name), total));
        }
    }
    let unknown = expected.unknown();
    assert!(unknown.is_empty(), "expected-failures.txt names {unknown:?}: no scripts of the suite");
    let conclusion = libtest_mimic::run(&arguments, trials);
    table::print(&totals);
    conclusion.exit();
}

/// What failed must be expected to, and the reverse.
fn check(report: &Report, excuses: &expected::Excuses) -> Result<(), Failed> {
    if let Some(reason) = &excuses.script {
        return match report.failed.is_empty() {
            true => Err(format!("passes: take it off the list ({reason})").into()),
            false => Ok(()),
        };
    }
    let unexpected = report.failed.iter().filter(|failure| !excuses.lines.contains(&failure.line));
    let mut wrong: Vec<String> = unexpected.map(ToString::to_string).collect();
    for line in &excuses.lines {
        if !report.failed.iter().any(|failure| failure.line == *line) {
            wrong.push(format!("line {line} passes: take it off the list"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
