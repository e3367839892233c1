//! Bytes that a server keeps for its functions while their guests have no slot: states of sessions, and deltas of
//! parked guests. There is a budget of each kind, of which one tenant has half at most, so that no tenant leaves the others
//! without any.

use crate::budget::count_within;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of one kind, of a whole server, and their bound.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: AtomicU64,
    most: u64,
}

impl Budget {
    /// For at most so many bytes.
    pub(crate) fn new(most: u64) -> Arc<Budget> {
        Arc::new(Budget { bytes: AtomicU64::new(0), most })
    }

    /// Bytes that are left.
    fn free(&self) -> u64 {
        self.most.saturating_sub(self.bytes.load(Relaxed))
    }
}

/// One tenant's share of a budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    /// The tenant's bytes.
    own: Arc<AtomicU64>,
}

impl Share {
    /// The share of the tenant that has `own` bytes of the budget.
    pub(crate) fn new(budget: &Arc<Budget>, own: &Arc<AtomicU64>) -> Share {
        Share { budget: budget.clone(), own: own.clone() }
    }

    /// Takes some bytes, if the tenant may have so many and there are so many.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let Budget { bytes: all, most } = &*self.budget;
        if !count_within(&self.own, bytes, most / 2) {
            return false;
        }
        let is_taken = count_within(all, bytes, *most);
        if !is_taken {
            self.own.fetch_sub(bytes, Relaxed);
        }
        is_taken
    }

    /// Bytes that are left for the tenant.
    pub(crate) fn free(&self) -> u64 {
        let own = self.own.load(Relaxed);
        (self.budget.most / 2).saturating_sub(own).min(self.budget.free())
    }

    /// Gives bytes back.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.budget.bytes.fetch_sub(bytes, Relaxed);
        self.own.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_half_at_most_and_all_together_no_more_than_there_is() {
        let budget = Budget::new(100);
        let [one, two, three] = [(); 3].map(|()| Share::new(&budget, &Arc::default()));
        assert!(one.take(40) && !one.take(11) && one.take(10));
        assert_eq!((one.free(), two.free()), (0, 50));
        assert!(two.take(45));
        assert_eq!((two.free(), three.free()), (5, 5));
        assert!(!three.take(6) && three.take(5));
        one.give_back(50);
        assert_eq!((one.free(), two.free(), three.free()), (50, 5, 45));
    }
}
