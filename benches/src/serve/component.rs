//! The component that is served: a program in Rust for `wasi:http`, with the answer of [`guest`](super::guest). And
//! the server of its peer, which is built for this bench alone.

use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders of the two crates.
const COMPONENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/component");
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wasi-http");

/// Where they are built, and stay.
const TARGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");

const WASI: &str = "wasm32-wasip2";

/// Builds the component.
pub(super) fn build() -> anyhow::Result<()> {
    cargo(COMPONENT, "component", &["--target", WASI])
}

/// Builds the server of the peer; minutes for the first time.
pub(super) fn build_server() -> anyhow::Result<()> {
    cargo(SERVER, "wasi-http", &[])
}

fn cargo(folder: &str, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked"])
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", Path::new(TARGETS).join(name))
        .status()
        .with_context(|| format!("starting cargo, which builds {folder}"))?;
    anyhow::ensure!(
        status.success(),
        "cargo could not build {folder}: {status} (the component needs the target {WASI}, from rustup)"
    );
    Ok(())
}

/// Where the component of the bench is.
pub(super) fn file() -> PathBuf {
    Path::new(TARGETS).join("component").join(WASI).join("release").join("hello_component.wasm")
}

/// The component in a file.
pub(super) fn wasm(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// The command that starts the peer with a component.
pub(super) fn server(file: &Path) -> anyhow::Result<[String; 2]> {
    let program = Path::new(TARGETS).join("wasi-http").join("release").join("wasi-http-server");
    Ok([word(&program)?, word(file)?])
}

/// A path as an argument.
pub(super) fn word(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a path that is not UTF-8")?.to_owned())
}
