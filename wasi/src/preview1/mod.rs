//! WASI preview1, and `wasi_unstable` before it.
//!
//! [`FUNCTIONS`] lists all of it, one row a function; those of a family are in one file. A function
//! without an implementation is linked as well and answers `ENOSYS`, so that a module which only
//! mentions it can run.
//!
//! A function is called as often as it has to wait, once more each time, and begins anew; it must
//! not have changed anything before it asks for a wait, except where it notes how far it has come. Work
//! that may block (`work.rs`) comes with the rest of its function instead.

mod clocks;
mod descriptors;
mod directories;
mod environment;
mod errno;
mod flags;
mod functions;
mod guest;
mod io;
mod iovec;
mod open;
mod paths;
mod poll;
mod process;
mod readdir;
mod rights;
mod sockets;
mod stat;
mod storage;
mod streams;
mod unstable;

pub(crate) use clocks::{clock_now, now};
pub(crate) use errno::{Errno, Failure};
pub(crate) use flags::Flags;
pub use functions::{FUNCTIONS, Support, WasiFunction, support};
pub(crate) use guest::{Calling, Guest, call_component, memory};
pub use process::Exit;
pub(crate) use process::host_random;
pub(crate) use rights::Rights;

use crate::context::HasWasi;
use wfaas_vm::Linker;

/// The module name of the imports.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// The module name of the imports of programs from before preview1.
pub const UNSTABLE: &str = "wasi_unstable";

/// Defines every function of preview1 in `linker`, under both module names. A guest that waits holds
/// its thread.
pub fn add_to_linker<T: HasWasi>(linker: &mut Linker<T>) {
    for module in [MODULE, UNSTABLE] {
        functions::add_to_linker(linker, module);
        functions::add_exit_to_linker(linker, module);
    }
    unstable::add_to_linker(linker, UNSTABLE);
}

/// Defines every function of preview1 in `linker`. A guest that was called with `call_async` and waits
/// is suspended: it holds no thread. One that was called with `call` holds its thread, as with
/// [`add_to_linker`].
pub fn add_to_linker_async<T: HasWasi + Send>(linker: &mut Linker<T>) {
    add_to_linker(linker);
    for module in [MODULE, UNSTABLE] {
        functions::add_waiting_to_linker(linker, module);
    }
    unstable::add_waiting_to_linker(linker, UNSTABLE);
}
