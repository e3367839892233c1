//! The guest ABIs and how to tell them apart.

use wfaas_abi::FuncType;
use wfaas_abi::ValType::{I32, I64};
use wfaas_vm::{ExternType, Module};

/// How a request reaches a guest and the answer comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestAbi {
    /// Exports `_start`; the body is on stdin, the answer is what was written to stdout.
    WasiCommand,
    /// Exports `faas_alloc`, `faas_handle` and `memory`; the body is an argument, the answer a
    /// result.
    Reactor,
}

/// Why a module is no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AbiError {
    /// Neither ABI's exports are there.
    #[error(
        "the module is no function: it exports neither `_start` (a WASI command) nor `faas_alloc` \
         and `faas_handle` (a reactor)"
    )]
    Neither,
    /// Half of an ABI.
    #[error("the module lacks the export `{0}` that a reactor needs")]
    Missing(&'static str),
    /// An export of the right name and the wrong type.
    #[error("the export `{name}` is {found}, it has to be {expected}")]
    Type {
        /// Name of the export.
        name: &'static str,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// Runs a WASI command.
pub(crate) const START: &str = "_start";
/// Gives a reactor's memory for a body.
pub(crate) const ALLOC: &str = "faas_alloc";
/// Answers a request in a reactor.
pub(crate) const HANDLE: &str = "faas_handle";
/// Initialises a WASI reactor.
pub(crate) const INITIALIZE: &str = "_initialize";

impl GuestAbi {
    /// The word in configuration files and listings: `wasi` or `reactor`.
    pub const fn name(self) -> &'static str {
        match self {
            GuestAbi::WasiCommand => "wasi",
            GuestAbi::Reactor => "reactor",
        }
    }

    /// The ABI with this [name](GuestAbi::name).
    pub fn from_name(name: &str) -> Option<GuestAbi> {
        [GuestAbi::WasiCommand, GuestAbi::Reactor].into_iter().find(|abi| abi.name() == name)
    }

    /// Finds out from the exports what kind of function a module is. A module that is both is
    /// taken for a reactor, whose instances start with less to do.
    ///
    /// # Errors
    /// [`AbiError`] names what is missing or has the wrong type.
    pub fn detect(module: &Module) -> Result<GuestAbi, AbiError> {
        let has = |name| module.get_export(name).is_some();
        let abi = match (has(ALLOC) || has(HANDLE), has(START)) {
            (true, _) => GuestAbi::Reactor,
            (false, true) => GuestAbi::WasiCommand,
            (false, false) => return Err(AbiError::Neither),
        };
        abi.check(module)?;
        Ok(abi)
    }

    /// Checks that a module has everything this ABI needs.
    ///
    /// # Errors
    /// [`AbiError`] names what is missing or has the wrong type.
    pub fn check(self, module: &Module) -> Result<(), AbiError> {
        match self {
            GuestAbi::WasiCommand => check_func(module, START, FuncType::new([], [])),
            GuestAbi::Reactor => {
                check_func(module, ALLOC, FuncType::new([I32], [I32]))?;
                check_func(module, HANDLE, FuncType::new([I32, I32], [I64]))?;
                check_memory(module)
            }
        }
    }
}

impl std::fmt::Display for GuestAbi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

fn check_func(module: &Module, name: &'static str, expected: FuncType) -> Result<(), AbiError> {
    match module.get_export(name) {
        None => Err(AbiError::Missing(name)),
        Some(ExternType::Func(ty)) if ty == expected => Ok(()),
        Some(found) => Err(AbiError::Type {
            name,
            expected: ExternType::Func(expected).to_string(),
            found: found.to_string(),
        }),
    }
}

fn check_memory(module: &Module) -> Result<(), AbiError> {
    match module.get_export("memory") {
        None => Err(AbiError::Missing("memory")),
        Some(ExternType::Memory(_)) => Ok(()),
        Some(found) => Err(AbiError::Type {
            name: "memory",
            expected: "a memory".to_owned(),
            found: found.to_string(),
        }),
    }
}
