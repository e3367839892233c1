//! Any bytes, and any damage to a component: an error or a module.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wfaas_differential::hostile::component(bytes));
