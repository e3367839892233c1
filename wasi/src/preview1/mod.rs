//! WASI preview1.
//!
//! [`FUNCTIONS`] lists all of it; a function without an implementation is linked as well and
//! answers `ENOSYS`, so that a module which only mentions it can run. There are no files and no
//! directories: streams can be read and written.
//!
//! A function is called as often as it has to wait, once more each time, and begins anew; it must
//! not have changed anything before it asks for a wait, except where it notes how far it has come.

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
pub(crate) use guest::Guest;
pub use process::Exit;

use crate::context::HasWasi;
use wfaas_vm::Linker;

/// The module name of the imports.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// Defines every function of preview1 in `linker`. A guest that waits holds its thread.
pub fn add_to_linker<T: HasWasi>(linker: &mut Linker<T>) {
    functions::add_to_linker(linker);
}

/// Defines every function of preview1 in `linker`. A guest that was called with `call_async` and waits
/// is suspended: it holds no thread. One that was called with `call` holds its thread, as with
/// [`add_to_linker`].
pub fn add_to_linker_async<T: HasWasi + Send>(linker: &mut Linker<T>) {
    functions::add_to_linker(linker);
    functions::add_waiting_to_linker(linker);
}
