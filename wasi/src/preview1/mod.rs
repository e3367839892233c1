//! WASI preview1.
//!
//! [`FUNCTIONS`] lists all of it; a function without an implementation is linked as well and
//! answers `ENOSYS`, so that a module which only mentions it can run. There are no files and no
//! directories: streams can be read and written.
//!
//! A function is called as often as it has to wait, once more each time, and begins anew; it must
//! not have changed anything before it asks for a wait.

mod clocks;
mod directories;
mod environment;
mod errno;
mod functions;
mod guest;
mod poll;
mod process;
mod streams;

pub(crate) use errno::Errno;
pub use functions::{FUNCTIONS, Support, WasiFunction, support};
pub use process::Exit;

use crate::context::HasWasi;
use wfaas_vm::Linker;

/// The module name of the imports.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// Defines every function of preview1 in `linker`.
pub fn add_to_linker<T: HasWasi>(linker: &mut Linker<T>) {
    functions::add_to_linker(linker);
}
