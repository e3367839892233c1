//! Tasks, waitables, streams and futures of components (WASI 0.3), and the interfaces of WASI 0.3.
//!
//! * a **task** is a call of the guest that was lifted with `async`: it returns its result by `task.return`, and
//!   goes on until it exits. There is one in an instance;
//! * a **subtask** is a call of the host that was lowered with `async` and has not returned yet;
//! * a **pipe** is a stream or a future: a writable and a readable end, each the guest's or the host's;
//! * a **waitable** is a subtask or an end that the guest has. Waitables are joined to **waitable sets**, from which
//!   the guest takes events.
//!
//! ```text
//!   guest ── read, write ──→ pipe ←── Source, Sink ── host
//!                             │ an operation that cannot go on is listed
//!                             ↓
//!                          progress ──→ events of waitables ──→ sets ──→ wait, poll, or the callback
//! ```
//!
//! All of it lies in the [`Resources`](crate::canonical::Resources) of the guest, so that a task that waits by its callback has no stack. Values
//! of the host are lowered when their event is delivered: only then can the guest's allocator be called.
//!
//! Names are those of `CanonicalABI.md` of the component model.

mod builtins;
mod call;
mod cli;
mod clocks;
mod copy;
mod events;
mod filesystem;
mod host_ends;
mod lent;
mod link;
mod pipe;
mod progress;
mod random;
mod rendezvous;
mod sockets;
mod tasks;
mod transfer;
mod waitable;

pub use events::{Delivered, Event};
pub use host_ends::{Promise, StreamReader};
pub use progress::{Outlook, Site, Waited};
pub use tasks::OnReturn;

pub(crate) use call::link_async;
pub(crate) use filesystem::Adapter;
pub(crate) use link::{TASK_RETURN, link};
pub(crate) use progress::{Progress, move_others, progress};
pub(crate) use tasks::Tasks;

use crate::preview2::Interface;
use wfaas_vm::component::FunctionName;

/// The interfaces of WASI 0.3 that every component may import.
pub const INTERFACES: &[&Interface] = &[
    &cli::ENVIRONMENT,
    &cli::EXIT,
    &cli::STDIN,
    &cli::STDOUT,
    &cli::STDERR,
    &cli::TERMINAL_STDIN,
    &cli::TERMINAL_STDOUT,
    &cli::TERMINAL_STDERR,
    &clocks::MONOTONIC,
    &clocks::SYSTEM,
    &filesystem::PREOPENS,
    &filesystem::STREAMS,
    &filesystem::TYPES,
    &random::RANDOM,
    &random::INSECURE,
    &random::INSECURE_SEED,
    &sockets::LOOKUP,
    &sockets::TCP,
    &sockets::UDP,
];

/// The adapter of a function's results, if it is one of 0.2 under a name of 0.3.
pub(crate) fn adapter(name: &FunctionName) -> Option<Adapter> {
    filesystem::adapter(name).or_else(|| sockets::adapter(name))
}
