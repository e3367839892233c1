//! Engines, by name.

use super::build::Built;
use super::wasmtime::Bounds;
use super::{ours, process, wasmtime};
use anyhow::Context;
use clap::ValueEnum;
use std::path::Path;
use std::process::Command;
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::{Options, Passes};

/// What a kernel returned, and how long it took.
pub(crate) struct Outcome {
    pub(crate) nanos: f64,
    pub(crate) checksum: u64,
}

/// An engine with a variant of a kernel loaded.
pub(crate) trait Runner {
    /// Runs the kernel with that many repetitions.
    fn run(&mut self, repetitions: u32) -> anyhow::Result<Outcome>;
}

/// What to load.
pub(super) struct Variant<'b> {
    pub(super) built: &'b Built,
    /// Whether with vectors.
    pub(super) simd: bool,
    /// The passes with which wfaas compiles.
    pub(super) passes: Passes,
}

/// What kernels run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// wfaas with its defaults: guard pages.
    Wfaas,
    /// wfaas with guard pages, and growth by userfaultfd.
    WfaasGuardUffd,
    /// wfaas with a comparison before each access that is not proved to be inside.
    WfaasTrap,
    /// wfaas with accesses beyond the end redirected, unless proved to be inside.
    WfaasClamp,
    /// wfaas without any check.
    WfaasNone,
    /// wasmtime with its defaults: guard pages.
    Wasmtime,
    /// wasmtime with a comparison before each access, and a mask against speculation.
    WasmtimeChecks,
    /// wasmtime with a comparison before each access, without that mask.
    WasmtimeUnmasked,
    /// wasmer with Cranelift: guard pages.
    Wasmer,
    /// V8, in Node.
    V8,
    /// Machine code of clang -O3, for any x86-64.
    Native,
    /// The same for x86-64-v3, which is what wfaas generates code for.
    NativeV3,
}

/// The program of `benches/wasmer/`, where it has been built.
const WASMER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wasmer/target/release/wasmer-kernel");

/// What has V8 in it.
const NODE: &str = "node";

impl Engine {
    /// All engines, those that are programs of others only where they are installed.
    pub(super) fn all() -> Vec<Engine> {
        let there = |engine: &Engine| match engine {
            Engine::Wasmer => Path::new(WASMER).exists(),
            Engine::V8 => Command::new(NODE).arg("--version").output().is_ok(),
            _ => true,
        };
        Engine::value_variants().iter().copied().filter(there).collect()
    }

    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::Wfaas => "wfaas",
            Engine::WfaasGuardUffd => "wfaas-guard-uffd",
            Engine::WfaasTrap => "wfaas-trap",
            Engine::WfaasClamp => "wfaas-clamp",
            Engine::WfaasNone => "wfaas-none",
            Engine::Wasmtime => "wasmtime",
            Engine::WasmtimeChecks => "wasmtime-checks",
            Engine::WasmtimeUnmasked => "wasmtime-unmasked",
            Engine::Wasmer => "wasmer",
            Engine::V8 => "v8",
            Engine::Native => "native",
            Engine::NativeV3 => "native-v3",
        }
    }

    /// Loads a variant of a kernel.
    pub(super) fn load(self, variant: &Variant<'_>) -> anyhow::Result<Box<dyn Runner>> {
        let Variant { built, simd, passes } = *variant;
        let wasm = if simd { &built.simd } else { &built.scalar };
        let ours = |bounds: BoundsStrategy| {
            ours::load(wasm, &Options { passes, bounds, ..Options::default() })
        };
        Ok(match self {
            Engine::Wfaas => Box::new(ours(BoundsStrategy::Guard)?),
            Engine::WfaasGuardUffd => Box::new(ours(BoundsStrategy::GuardUffd)?),
            Engine::WfaasTrap => Box::new(ours(BoundsStrategy::Trap)?),
            Engine::WfaasClamp => Box::new(ours(BoundsStrategy::Clamp)?),
            Engine::WfaasNone => Box::new(ours(BoundsStrategy::None)?),
            Engine::Wasmtime => Box::new(wasmtime::load(wasm, Bounds::Guard)?),
            Engine::WasmtimeChecks => Box::new(wasmtime::load(wasm, Bounds::Masked)?),
            Engine::WasmtimeUnmasked => Box::new(wasmtime::load(wasm, Bounds::Unmasked)?),
            Engine::Wasmer => {
                let program = process::start(Path::new(WASMER), &[wasm.as_os_str()]);
                Box::new(
                    program.context("it is built by `cargo build --release` in benches/wasmer")?,
                )
            }
            Engine::V8 => {
                let arguments = [built.node_main.as_os_str(), wasm.as_os_str()];
                Box::new(process::start(Path::new(NODE), &arguments)?)
            }
            Engine::Native => Box::new(process::start(&built.native, &[])?),
            Engine::NativeV3 => Box::new(process::start(&built.native_v3, &[])?),
        })
    }
}
