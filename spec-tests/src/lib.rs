//! Runs the official test suite of WebAssembly the way a program runs: text → compiler → artifact
//! → VM → call.
//!
//! * a *script* is a `.wast` file: modules, and *directives* that say what they must do;
//! * a [`Part`] of the suite is a version of the specification, or a proposal;
//! * [`run_script`] runs one on a [`Route`] and gives a [`Report`];
//! * `tests/suite.rs` makes a test of each script and route; `expected-failures.txt` lists scripts
//!   and single directives that fail, each with its reason. The list may only shrink: what is
//!   listed, but passes, fails the run.
//!
//! On the route [`Route::Snapshot`] every instance that can be captured is captured as soon as it
//! exists, written to an artifact, and loaded again from there into another slot; the directives
//! then meet the restored instance. Every statement of a script about an instance must hold for its copy too.
//! On the routes [`Route::Bounds`] modules are compiled with another bounds strategy.
//!
//! `legacy/` holds scripts of our own, about legacy exceptions. `WFAAS_SCRIPTS=FOLDER` runs the scripts of a
//! folder too.

mod folded;
mod parts;
mod report;
mod runner;
mod snapshot;
mod spectest;
mod values;

pub use parts::{Part, Script, parts};
pub use report::{Failure, Report};
pub use runner::{Route, run_script};
