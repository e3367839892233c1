//! Any bytes, and any damage to a bundle: an error or a tree.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wfaas_differential::hostile::bundle(bytes));
