//! Compiling kernels with clang.

use super::kernels::{GROWING, HEADER, Kernel, NATIVE_MAIN, NODE_MAIN};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiled variants of a kernel.
pub(crate) struct Built {
    pub(crate) scalar: PathBuf,
    pub(crate) simd: PathBuf,
    /// As `scalar`, and exports `run_growing` too.
    pub(crate) growing: PathBuf,
    pub(crate) native: PathBuf,
    pub(crate) native_v3: PathBuf,
    /// The program with which V8 runs the others.
    pub(crate) node_main: PathBuf,
}

/// For all: no library may replace a kernel's loops, and floating-point numbers are exact, so that
/// checksums can be compared.
const COMMON: &[&str] = &[
    "-O3",
    "-std=gnu11",
    "-ffreestanding",
    "-fno-builtin",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-Wall",
    "-Wextra",
];

const WASM: &[&str] = &["--target=wasm32", "-nostdlib", "-Wl,--no-entry"];

/// Compiles a kernel into `folder`, for everything it runs on.
pub(crate) fn build(kernel: &Kernel, folder: &Path) -> anyhow::Result<Built> {
    let file = |extension: &str| folder.join(format!("{}{extension}", kernel.name));
    let source = file(".c");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("kernel.h"), HEADER))
        .and_then(|()| std::fs::write(folder.join("native.c"), NATIVE_MAIN))
        .and_then(|()| std::fs::write(folder.join("growing.c"), GROWING))
        .and_then(|()| std::fs::write(folder.join("node.mjs"), NODE_MAIN))
        .and_then(|()| std::fs::write(&source, kernel.source))
        .with_context(|| {
            format!("writing the source of {} to {}", kernel.name, folder.display())
        })?;
    let built = Built {
        scalar: file(".wasm"),
        simd: file(".simd.wasm"),
        growing: file(".growing.wasm"),
        native: file(".native"),
        native_v3: file(".native-v3"),
        node_main: folder.join("node.mjs"),
    };
    clang(&[WASM], &[&source], &built.scalar)?;
    clang(&[WASM, &["-msimd128"]], &[&source], &built.simd)?;
    clang(&[WASM], &[&source, &folder.join("growing.c")], &built.growing)?;
    let main = folder.join("native.c");
    clang(&[&["-fPIE"]], &[&source, &main], &built.native)?;
    clang(&[&["-fPIE", "-march=x86-64-v3"]], &[&source, &main], &built.native_v3)?;
    Ok(built)
}

fn clang(flags: &[&[&str]], sources: &[&Path], output: &Path) -> anyhow::Result<()> {
    let status = Command::new("clang")
        .args(COMMON)
        .args(flags.concat())
        .args(sources)
        .arg("-o")
        .arg(output)
        .status()
        .context("starting clang, which compiles the kernels (on Debian: clang and lld)")?;
    anyhow::ensure!(status.success(), "clang could not make {}: {status}", output.display());
    Ok(())
}
