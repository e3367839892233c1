//! Backends of the key-value stores of functions.
//!
//! * [`Embedded`] keeps values in one file of this server, or in memory;
//! * [`Redis`] keeps them in a Redis that several servers share.
//!
//! Both do the same operations with the same outcomes: `tests/backends.rs` compares them. A tenant's stores are
//! limited together, by the bytes of their keys and values and a constant for each entry. The reason of a failure
//! is for the server's log, guests learn only that there was one.
#![forbid(unsafe_code)]

mod admission;
mod embedded;
mod redis;

pub use embedded::{Embedded, OpenError};
pub use redis::{Redis, UrlError};

use wfaas_function::stores::{Outcome, StoreError};

/// Most bytes of a tenant's stores together, if nobody says otherwise.
pub const DEFAULT_TENANT_BYTES: u64 = 256 << 20;

/// What became of an operation.
type Done = Result<Outcome, StoreError>;

/// Writes a failure to the log; the error for the guest.
fn unavailable(error: impl std::fmt::Display) -> StoreError {
    tracing::error!(target: "wfaas::stores", "an operation on a store failed: {error}");
    StoreError::Unavailable
}
