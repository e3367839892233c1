//! Any bytes: an error or an artifact.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wfaas_differential::hostile::compile(bytes));
