//! Key-value stores of functions: data that outlives a request.
//!
//! * a [`StoreBackend`], which the server or the command line supplies, keeps the values of all stores;
//! * a [`Space`] is one store in it: its keys are those of one tenant's function, or of all functions of a tenant
//!   that share it, and of nobody else;
//! * a function's specification says which stores it is granted, by name ([`StoreGrant`]); [`Stores`] are those;
//! * an [`Operation`] on a [`Store`] is checked against the limits here, and ends with an [`Outcome`].
//!
//! An operation is a future: the guest is suspended until it is ready. One that is dropped may be done all the
//! same, as a request that was sent.

mod error;
mod operation;
mod space;

pub use error::StoreError;
pub use operation::{Operation, Outcome, Page};
pub use space::{Space, StoreGrant, StoreName, StoreNameError};

use crate::spec::Spec;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 1 << 10;

/// Most bytes of keys and values of one operation, or of its outcome.
pub const MAX_OPERATION: usize = 1 << 20;

/// Most keys of one operation.
pub const MAX_KEYS: usize = 256;

/// Most keys of one [`Page`] of a listing.
pub const MAX_PAGE: usize = 1024;

/// Bytes that an entry counts besides its key and its value.
pub const ENTRY_BYTES: usize = 64;

/// Keeps the values of stores, for all functions of a server. Keys are in the order of their bytes.
pub trait StoreBackend: fmt::Debug + Send + Sync {
    /// Begins an operation, which is within the limits. Keys of one operation are each there once.
    fn begin(&self, space: &Space, operation: Operation) -> Pending;
}

/// An operation under way.
pub type Pending = Pin<Box<dyn Future<Output = Result<Outcome, StoreError>> + Send>>;

/// The stores that one function is granted. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Stores(Option<Arc<Granted>>);

#[derive(Debug)]
struct Granted {
    /// `None` where nobody keeps values, as while an image is made.
    backend: Option<Arc<dyn StoreBackend>>,
    spaces: BTreeMap<StoreName, Space>,
}

impl Stores {
    /// The stores of a specification, kept by `backend`.
    pub(crate) fn new(backend: Option<Arc<dyn StoreBackend>>, spec: &Spec) -> Stores {
        let tenant = spec.tenant.clone().unwrap_or_default();
        let space = |(name, grant): (&StoreName, &StoreGrant)| {
            (name.clone(), Space::new(&tenant, spec.name(), name, *grant))
        };
        let spaces: BTreeMap<_, _> = spec.stores.iter().map(space).collect();
        let granted = || Arc::new(Granted { backend, spaces });
        Stores((!spec.stores.is_empty()).then(granted))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The store of this name, if the function is granted one.
    pub fn open(&self, name: &str) -> Option<Store> {
        let granted = self.0.as_ref()?;
        let space = granted.spaces.get(name)?.clone();
        Some(Store { backend: granted.backend.clone(), space })
    }
}

/// A store that a function is granted.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Option<Arc<dyn StoreBackend>>,
    space: Space,
}

impl Store {
    /// Begins an operation.
    ///
    /// # Errors
    /// [`StoreError`] if it is beyond the limits, or nobody keeps values here; the future's, if it failed.
    pub fn begin(&self, operation: Operation) -> Result<Pending, StoreError> {
        let operation = operation.checked()?;
        let backend = self.backend.as_ref().ok_or(StoreError::NoBackend)?;
        Ok(backend.begin(&self.space, operation))
    }
}

#[cfg(test)]
mod tests;
