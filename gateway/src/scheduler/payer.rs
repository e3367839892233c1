//! Payers: the functions that are charged for the time of their guests, and their tenants.

use crate::budget::{Account, count_within};
use crate::fair::Served;
use crate::outgoing::Lookups;
use crate::parking::ParkedGuests;
use crate::resets::Pending;
use crate::tenants::{TenantTerms, WEIGHT};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wfaas_function::sockets::SocketCount;
use wfaas_function::{FunctionName, TenantName};

/// Who is accounted, limited and kept apart.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) name: TenantName,
    /// Its shares of budgets.
    pub(crate) account: Arc<Account>,
    /// Most requests under way.
    pub(crate) max_requests: u64,
    /// Bytes that its requests under way may need, and the most of it if there is a limit.
    memory: (AtomicU64, Option<u64>),
    /// Bytes of the states of its functions' sessions.
    pub(crate) session_bytes: Arc<AtomicU64>,
    /// Bytes of the deltas of its guests that are parked.
    pub(crate) parked_bytes: Arc<AtomicU64>,
    /// Names that are looked up for its functions.
    pub(crate) lookups: Lookups,
    /// Sockets of its functions.
    pub(crate) sockets: SocketCount,
    /// Long resets of its guests.
    pub(crate) resets: Pending,
    /// Its place in the scheduler's queue.
    pub(super) index: usize,
    /// Its share of the processor, beside those of others.
    weight: u32,
    pub(super) served: Served,
}

/// Memory that a request may need, if its tenant has a limit; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reserved(Option<(Arc<Tenant>, u64)>);

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some((tenant, bytes)) = &self.0 {
            tenant.memory.0.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

/// A function, as far as it is charged for time. All deployments of one name are one payer.
#[derive(Debug)]
pub(crate) struct Payer {
    pub(crate) name: FunctionName,
    pub(crate) tenant: Arc<Tenant>,
    pub(super) served: Served,
    pub(super) used: Used,
    pub(crate) parked: ParkedGuests,
}

/// Counters of a function's guests.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Guests that a thread runs now, and above [`RUNNING_BITS`] those that have begun.
    guests: AtomicU64,
    /// Nanoseconds of processor time.
    processor: AtomicU64,
    /// Nanoseconds in line.
    queued: AtomicU64,
}

/// Bits of the number of guests that run at the same time: fewer than there may be threads.
const RUNNING_BITS: u32 = 20;

/// Counts of a function's guests so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Guests that a thread runs now.
    pub(crate) running: u64,
    /// Nanoseconds of processor time.
    pub(crate) processor: u64,
    /// Nanoseconds in line.
    pub(crate) queued: u64,
    /// Guests that have begun.
    pub(crate) requests: u64,
}

impl Tenant {
    /// A tenant of these terms, with place `index`.
    pub(crate) fn new(terms: &TenantTerms, index: usize) -> Tenant {
        Tenant {
            name: terms.name.clone(),
            account: Arc::default(),
            max_requests: terms.max_requests.unwrap_or(u64::MAX),
            memory: (AtomicU64::new(0), terms.max_memory),
            session_bytes: Arc::default(),
            parked_bytes: Arc::default(),
            lookups: Lookups::default(),
            sockets: SocketCount::default(),
            resets: Pending::default(),
            index,
            weight: terms.weight.max(1),
            served: Served::default(),
        }
    }

    /// Reserves memory for a request; `None` if its tenant has its share.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reserved> {
        let (reserved, Some(most)) = &self.memory else { return Some(Reserved(None)) };
        count_within(reserved, bytes, *most).then(|| Reserved(Some((self.clone(), bytes))))
    }

    /// Nanoseconds of virtual time.
    pub(super) fn weighted(&self, nanos: u64) -> u64 {
        nanos.saturating_mul(u64::from(WEIGHT)) / u64::from(self.weight)
    }
}

impl Payer {
    pub(crate) fn new(name: FunctionName, tenant: &Arc<Tenant>) -> Arc<Payer> {
        let tenant = tenant.clone();
        let (served, used, parked) = (Served::default(), Used::default(), ParkedGuests::default());
        Arc::new(Payer { name, tenant, served, used, parked })
    }

    /// Counts of its guests so far.
    pub(crate) fn usage(&self) -> Usage {
        let Used { guests, processor, queued } = &self.used;
        let [guests, processor, queued] =
            [guests, processor, queued].map(|count| count.load(Ordering::Relaxed));
        let (requests, running) = (guests >> RUNNING_BITS, guests & ((1 << RUNNING_BITS) - 1));
        Usage { running, processor, queued, requests }
    }
}

impl Used {
    /// Begins a slice of a guest, which may be a new one.
    pub(super) fn begin(&self, is_new: bool) {
        self.guests.fetch_add(u64::from(is_new) << RUNNING_BITS | 1, Ordering::Relaxed);
    }

    /// Ends a slice that used so many nanoseconds.
    pub(super) fn end(&self, processor: u64) {
        self.guests.fetch_sub(1, Ordering::Relaxed);
        self.charge(processor);
    }

    pub(super) fn charge(&self, processor: u64) {
        self.processor.fetch_add(processor, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.queued.fetch_add(nanos, Ordering::Relaxed);
    }
}
