//! The reasons for which a store's calls are watched, and what is kept of a stint that is.

use crate::call::cpu_time::Account;
use crate::call::threads::{Budget, Deadline};
use crate::call::time::NEVER;

/// The reasons for which a store's calls are watched, and the account of their processor time.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// Whether there is any reason.
    pub(super) any: bool,
    /// Whether their processor time is counted.
    pub(super) counted: bool,
    /// Processor time, in nanoseconds, after which a call that can be suspended is; [`NEVER`] for none.
    pub(super) slice: u64,
    /// Processor time, in nanoseconds, that they may use together; [`NEVER`] for any.
    pub(super) limit: u64,
    /// The processor time they have used.
    pub(super) account: Account,
}

impl Watched {
    /// No reason.
    pub(super) const NONE: Watched =
        Watched { any: false, counted: false, slice: NEVER, limit: NEVER, account: Account::NEW };

    /// Processor time that is left, in nanoseconds.
    pub(super) fn left(&self) -> u64 {
        match self.limit {
            NEVER => NEVER,
            limit => limit.saturating_sub(self.account.nanos()),
        }
    }
}

/// A stint that is watched, until this is dropped.
#[derive(Debug)]
pub(super) struct Stint {
    pub(super) deadline: Deadline,
    /// Of one with processor time that is limited or counted.
    pub(super) budget: Option<Budget>,
    /// The counter at its beginning, if its processor time is counted.
    pub(super) start: Option<u64>,
}
