//! The compilers that make modules from source: whether they are there, and what installs them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Something a build command may need.
pub(crate) struct Tool {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The command that installs it.
    pub(crate) install: &'static str,
    is_there: fn() -> bool,
}

/// What the examples need.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "rust target wasm32-wasip1",
        install: "rustup target add wasm32-wasip1",
        is_there: || has_rust_target("wasm32-wasip1"),
    },
    Tool {
        name: "rust target wasm32-wasip2",
        install: "rustup target add wasm32-wasip2",
        is_there: || has_rust_target("wasm32-wasip2"),
    },
    Tool {
        name: "rust target wasm32-unknown-unknown",
        install: "rustup target add wasm32-unknown-unknown",
        is_there: || has_rust_target("wasm32-unknown-unknown"),
    },
    Tool { name: "clang", install: "apt-get install clang", is_there: || on_path("clang") },
    Tool { name: "wasm-ld", install: "apt-get install lld", is_there: || on_path("wasm-ld") },
    Tool {
        name: "wasi-libc",
        install: "apt-get install wasi-libc libclang-rt-14-dev-wasm32",
        is_there: || PathBuf::from("/usr/lib/wasm32-wasi/libc.a").exists(),
    },
];

impl Tool {
    /// Whether it is installed.
    pub(crate) fn is_there(&self) -> bool {
        (self.is_there)()
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn has_rust_target(target: &str) -> bool {
    let sysroot = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .stderr(Stdio::null())
        .output();
    sysroot.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && PathBuf::from(folder).is_dir()
    })
}
