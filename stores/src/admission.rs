//! Admission of operations: bounds what they hold in memory, for each tenant and for all together.
//!
//! An operation that finds no room waits, in the order of arrival. The room is the job's, which may outlive the
//! guest that asked for it: a guest that begins operations and drops them gets no more room by that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use wfaas_function::stores::Operation;

/// Most bytes of one tenant's operations that are under way.
const TENANT_BYTES: usize = 8 << 20;

/// Most bytes of all operations that are under way.
const ALL_BYTES: usize = 128 << 20;

/// Fewest bytes that an operation counts: a tenant has 64 operations under way at most.
const LEAST_BYTES: usize = TENANT_BYTES / 64;

/// Most operations that read at a time. Each may hold the largest outcome, and one of a file has a thread of the
/// runtime, which the server needs too.
const READERS: usize = 16;

/// Lends room to operations.
pub(crate) struct Admission {
    /// The room of each tenant that had an operation. The server's configuration has the tenants.
    tenants: Mutex<HashMap<String, Arc<Semaphore>>>,
    all: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

/// Room of an operation, until it is dropped.
pub(crate) struct Room {
    pub(crate) bytes: usize,
    _permits: [Option<OwnedSemaphorePermit>; 3],
}

impl Default for Admission {
    fn default() -> Admission {
        let [all, readers] = [ALL_BYTES, READERS].map(|most| Arc::new(Semaphore::new(most)));
        Admission { tenants: Mutex::default(), all, readers }
    }
}

impl Admission {
    /// Waits for room. Everyone takes the tenant's first: a tenant that floods queues behind itself.
    pub(crate) async fn admit(
        &self,
        tenant: &str,
        operation: &Operation,
    ) -> Result<Room, AcquireError> {
        let bytes = bytes(operation).max(LEAST_BYTES);
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let own = self.tenant(tenant).acquire_many_owned(count).await?;
        let all = self.all.clone().acquire_many_owned(count).await?;
        let reader = match reads(operation) {
            true => Some(self.readers.clone().acquire_owned().await?),
            false => None,
        };
        Ok(Room { bytes, _permits: [Some(own), Some(all), reader] })
    }

    fn tenant(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = tenants.get(tenant) {
            return room.clone();
        }
        let room = Arc::new(Semaphore::new(TENANT_BYTES));
        tenants.insert(tenant.to_owned(), room.clone());
        room
    }
}

/// Bytes of the keys and values that an operation owns.
fn bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Get(keys) | Operation::Delete(keys) => keys.iter().map(String::len).sum(),
        Operation::Exists(key) | Operation::Increment { key, .. } => key.len(),
        Operation::Set(pairs) => pairs.iter().map(|(key, value)| key.len() + value.len()).sum(),
        Operation::List { after, .. } => after.as_ref().map_or(0, String::len),
        Operation::Swap { key, expected, value } => {
            key.len() + expected.as_ref().map_or(0, Vec::len) + value.len()
        }
    }
}

/// Whether an operation only reads.
pub(crate) fn reads(operation: &Operation) -> bool {
    match operation {
        Operation::Get(_) | Operation::Exists(_) | Operation::List { .. } => true,
        Operation::Set(_)
        | Operation::Delete(_)
        | Operation::Increment { .. }
        | Operation::Swap { .. } => false,
    }
}
