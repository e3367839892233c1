//! Functions that a connection has asked for: who holds the units of a request to one of them is found
//! out once, and its path is not looked up again until the registry changes.

use crate::budget::{Account, Holders};
use crate::registry::Deployed;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Most functions that a connection remembers.
const MOST: usize = 4;

/// Longest path that is remembered, in bytes.
const LONGEST: usize = 64;

/// A function that a request asks for, and the holders of the request's units.
#[derive(Clone)]
pub(crate) struct Target {
    pub(super) deployed: Arc<Deployed>,
    pub(super) holders: Arc<Holders>,
    /// Bytes of the request's path that led to the function: its route.
    pub(super) route_bytes: usize,
}

/// What a connection remembers.
#[derive(Default)]
pub(crate) struct Known(Mutex<Vec<Entry>>);

struct Entry {
    path: Box<str>,
    /// Changes of the registry before it was found.
    changes: u64,
    /// A function that is replaced ends with its last request, not with the connections that know it.
    deployed: Weak<Deployed>,
    holders: Arc<Holders>,
    route_bytes: usize,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

impl Known {
    /// The target that was found for this path and client, if there was no change since.
    pub(super) fn find(
        &self,
        path: &[u8],
        changes: u64,
        client: Option<&Arc<Account>>,
    ) -> Option<Target> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_client = |holders: &Holders| match (holders.client(), client) {
            (Some(known), Some(client)) => Arc::ptr_eq(known, client),
            (known, client) => known.is_none() && client.is_none(),
        };
        let is_it = |entry: &&Entry| {
            entry.changes == changes && entry.path.as_bytes() == path && is_client(&entry.holders)
        };
        let entry = entries.iter().find(is_it)?;
        let deployed = entry.deployed.upgrade()?;
        Some(Target { deployed, holders: entry.holders.clone(), route_bytes: entry.route_bytes })
    }

    /// Remembers a target in place of the oldest one. `changes` is from before it was found.
    pub(super) fn add(&self, path: &str, changes: u64, target: &Target) {
        if path.len() > LONGEST {
            return;
        }
        let (deployed, holders) = (Arc::downgrade(&target.deployed), target.holders.clone());
        let route_bytes = target.route_bytes;
        let entry = Entry { path: path.into(), changes, deployed, holders, route_bytes };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.truncate(MOST - 1);
        entries.insert(0, entry);
    }
}
