//! Runs the official test suite of WebAssembly the way a program runs: text → compiler → artifact
//! → VM → call.
//!
//! * a *script* is a `.wast` file: modules, and *directives* that say what they must do;
//! * [`run_script`] runs one and gives a [`Report`];
//! * `tests/suite.rs` makes a test of each script of the suite; `expected-failures.txt` lists those
//!   that may fail, each with its reason. The list may only shrink: a listed script that passes
//!   fails the run.

mod runner;
mod spectest;
mod values;

pub use runner::{Report, run_script};
