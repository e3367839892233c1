//! Why an operation on a store failed.

use super::{MAX_KEY, MAX_KEYS, MAX_OPERATION};

/// Why an operation on a store failed. The messages are for guests: they name no place of the server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nobody keeps values here: as while an image is made.
    #[error("nothing is stored here")]
    NoBackend,
    /// A key that is empty or too long.
    #[error("a key has to have 1 to {MAX_KEY} bytes")]
    Key,
    /// Too many keys in one operation.
    #[error("an operation has {0} keys: it may have {MAX_KEYS}")]
    TooManyKeys(usize),
    /// Too many bytes in one operation, or in its outcome.
    #[error("keys and values of one operation may have {MAX_OPERATION} bytes together")]
    TooLarge,
    /// The tenant's stores are full.
    #[error("the stores are full: they may have {0} bytes together")]
    Full(u64),
    /// A value that is to be incremented is no decimal number of 64 bits.
    #[error("the value is not a decimal number of 64 bits, or would not be one")]
    NoNumber,
    /// The store does not answer, or has failed. The server's log has the reason.
    #[error("the store is not available")]
    Unavailable,
}
