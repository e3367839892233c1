//! Building the programs, for WASI and for the machine.

use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of their crate.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/programs");

/// Where they are built, and stay.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/programs");

const WASI: &str = "wasm32-wasip1";
const NATIVE: &str = "x86_64-unknown-linux-gnu";

/// Flags of clang 14 for the headers of Debian's wasi-libc, and for the features that compilers of
/// today have on by default.
const WASI_CFLAGS: &str = "--sysroot=/usr -isystem /usr/include/wasm32-wasi -mbulk-memory \
                           -msign-ext -mnontrapping-fptoint -mmutable-globals";

/// A program's two forms.
pub(super) struct Built {
    pub(super) wasm: PathBuf,
    pub(super) native: PathBuf,
}

/// Builds all programs; minutes for the first time.
pub(super) fn build() -> anyhow::Result<()> {
    for target in [WASI, NATIVE] {
        let status = Command::new("cargo")
            .args(["build", "--release", "--locked", "--bins", "--target", target])
            .current_dir(SOURCE)
            .env("CARGO_TARGET_DIR", TARGET)
            .env("CC_wasm32_wasip1", "clang")
            .env("AR_wasm32_wasip1", "llvm-ar-14")
            .env("CFLAGS_wasm32_wasip1", WASI_CFLAGS)
            .env("CC_x86_64_unknown_linux_gnu", "clang")
            .status()
            .context("starting cargo, which builds the programs")?;
        anyhow::ensure!(
            status.success(),
            "cargo could not build the programs for {target}: {status} (on Debian they need clang, lld, \
             llvm and wasi-libc, and the target is added by rustup)"
        );
    }
    Ok(())
}

/// Where a program is.
pub(super) fn built(name: &str) -> Built {
    let file = |target: &str, name: &str| Path::new(TARGET).join(target).join("release").join(name);
    Built { wasm: file(WASI, &format!("{name}.wasm")), native: file(NATIVE, name) }
}
