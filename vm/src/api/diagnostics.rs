//! Diagnostics: measured costs and conditions that a program can show, and nothing it needs to run
//! guests.

pub use crate::runtime::profile::working_sets;
pub use wfaas_snapshot::{Missing, cost, userfaultfd};
