//! Any valid module: as in another engine, and restored as fresh.
#![no_main]

use std::sync::LazyLock;
use wfaas_differential::{Choice, run_bytes};

static CHOICE: LazyLock<Choice> = LazyLock::new(Choice::all);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    run_bytes(bytes, &CHOICE).unwrap_or_else(|wrong| panic!("{wrong}"));
});
