//! WASI 0.2 for components: host functions over what preview1 uses, a file an interface.
//!
//! * an [`Interface`] is a name, as `wasi:io/streams@0.2`, and its [`Function`]s; any patch level of it is
//!   accepted;
//! * a function is called with [values](Value) and a [`Host`], which reaches the guest's memory, its handles and
//!   its [`Wasi`](crate::Wasi);
//! * [`link`] defines the imports of a component. One that no interface has is a function that ends the call with
//!   its name.
//!
//! * a few functions of most requests have a second implementation, which is called [directly](Direct).
//!
//! Embedders add interfaces of their own. A function that cannot go on returns a wait ([`Stop`]), and is called
//! again after it.

pub(crate) mod cli;
mod clocks;
mod direct;
mod error;
pub(crate) mod filesystem;
mod host;
mod input;
mod link;
mod output;
mod pieces;
mod poll;
pub(crate) mod random;
pub(crate) mod sockets;
mod splice;
mod streams;

pub use direct::{Direct, DirectCall, DirectFn, Returns, Takes};
pub use error::IoError;
pub use host::{Function, Host, HostFn, Interface, Stop};
pub use input::InputStream;
pub use link::{link, missing, provides};
pub use output::OutputStream;
pub use poll::{Pollable, Ready};

pub(crate) use input::{Found, Source};
pub(crate) use link::Lowered;
pub(crate) use output::Sink;
pub(crate) use poll::poll_handle;

pub use crate::canonical::{Component, Resources, Slice, Value, Violation};

/// The interfaces that every component may import.
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
    &clocks::WALL,
    &error::ERROR,
    &filesystem::PREOPENS,
    &filesystem::TYPES,
    &poll::POLL,
    &random::RANDOM,
    &random::INSECURE,
    &random::INSECURE_SEED,
    &streams::STREAMS,
    &sockets::INSTANCE_NETWORK,
    &sockets::LOOKUP,
    &sockets::NETWORK,
    &sockets::TCP,
    &sockets::TCP_CREATE,
    &sockets::UDP,
    &sockets::UDP_CREATE,
];

/// Their functions that have a direct implementation, too.
pub const DIRECT: &[Direct] = streams::DIRECT;

/// The parameters of a function, which are so many.
///
/// # Errors
/// [`Violation::Type`] if the component declares it with others.
pub fn args<const N: usize>(args: &[Value]) -> Result<&[Value; N], Violation> {
    args.try_into().map_err(|_| Value::mismatch())
}
