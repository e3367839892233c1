//! The table at the end of a run.

use std::sync::{Arc, Mutex, PoisonError};
use wfaas_spec_tests::Report;

/// Counts of all scripts of a part, on one route.
#[derive(Default)]
pub(crate) struct Totals {
    scripts: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
    restored: usize,
    not_captured: usize,
}

impl Totals {
    pub(crate) fn add(&mut self, report: &Report) {
        self.scripts += 1;
        self.passed += report.passed;
        self.failed += report.failed.len();
        self.skipped += report.skipped;
        self.restored += report.restored;
        self.not_captured += report.not_captured;
    }

    fn row(&self) -> [usize; 6] {
        let Totals { scripts, passed, failed, skipped, restored, not_captured } = *self;
        [scripts, passed, failed, skipped, restored, not_captured]
    }
}

/// Prints directives by what became of them, and instances by whether they were captured.
pub(crate) fn print(totals: &[(String, Arc<Mutex<Totals>>)]) {
    let line = |name: &str, cells: [String; 6]| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>14}")).collect();
        eprintln!("{name:<48}{cells}");
    };
    let heads = ["scripts", "passed", "failed", "skipped", "restored", "not captured"];
    line("part", heads.map(str::to_owned));
    for (name, total) in totals {
        let row = total.lock().unwrap_or_else(PoisonError::into_inner).row();
        if row[0] > 0 {
            line(name, row.map(|count| count.to_string()));
        }
    }
}
