//! Any valid module, with all the compiler has: restored as fresh.
#![no_main]

use std::sync::LazyLock;
use wfaas_differential::{Choice, restore_bytes};

static CHOICE: LazyLock<Choice> = LazyLock::new(Choice::all);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    restore_bytes(bytes, &CHOICE).unwrap_or_else(|wrong| panic!("{wrong}"));
});
