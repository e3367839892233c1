//! WASI preview1.
//!
//! [`FUNCTIONS`] lists all of it; a function without an implementation is linked as well and
//! answers `ENOSYS`, so that a module which only mentions it can run. There are no files: the
//! three standard streams are the only descriptors, and no directory is preopened.

mod clocks;
mod environment;
mod errno;
mod functions;
mod guest;
mod poll;
mod preopens;
mod process;
mod streams;
mod wait;

pub use functions::{FUNCTIONS, WasiFunction};
pub use process::Exit;

use crate::state::HostState;
use wfaas_vm::{Caller, Linker};

/// The module name of the imports.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// The calling guest.
type Guest<'a> = Caller<'a, HostState>;

/// Defines every function of preview1 in `linker`.
pub fn add_to_linker(linker: &mut Linker<HostState>) {
    functions::add_to_linker(linker);
}
