//! A budget of bytes that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is left of a number of bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<AtomicU64>);

/// Bytes taken from a budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Budget,
    bytes: u64,
}

/// Nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    pub(crate) fn new(bytes: u64) -> Budget {
        Budget(Arc::new(AtomicU64::new(bytes)))
    }

    /// A lease of nothing, to be grown.
    pub(crate) fn lease(&self) -> Lease {
        Lease { budget: self.clone(), bytes: 0 }
    }
}

impl Lease {
    /// Takes more, or nothing if there is not enough.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let take = |left: u64| left.checked_sub(bytes);
        let order = Ordering::Relaxed; // it guards no other memory
        self.budget.0.try_update(order, order, take).map_err(|_| Exhausted)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_comes_back() {
        let budget = Budget::new(10);
        let mut first = budget.lease();
        assert_eq!(first.grow(6), Ok(()));
        assert_eq!(budget.lease().grow(5), Err(Exhausted));
        assert_eq!(first.grow(4), Ok(()));
        drop(first);
        assert_eq!(budget.lease().grow(10), Ok(()));
    }
}
