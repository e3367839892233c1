//! Any calls of preview1: known error numbers, and a host that stays as it is.
#![no_main]

#[path = "../../wasi/tests/surface/drive/mod.rs"]
#[allow(dead_code, unused_imports)] // tests use more of it
mod drive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drive::run(bytes);
});
