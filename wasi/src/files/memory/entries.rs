//! Entries of a directory: by name, and in the order in which they are listed.

use super::node::Id;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The thing that a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A node.
    Node(Id),
    /// Nothing, whatever the lower directory has.
    Whiteout,
}

/// Entries. Each has a cookie, which is its own as long as the name is there: a listing goes on at a
/// cookie, whatever has come or gone.
#[derive(Debug, Default)]
pub(super) struct Entries {
    by_name: BTreeMap<Arc<str>, (u64, Target)>,
    by_cookie: BTreeMap<u64, Arc<str>>,
    next: u64,
}

impl Entries {
    /// Bytes that an entry counts as.
    pub(super) fn cost(name: &str) -> u64 {
        name.len() as u64 + 160
    }

    /// Bytes that all entries count as.
    pub(super) fn cost_of_all(&self) -> u64 {
        self.by_name.keys().map(|name| Entries::cost(name)).sum()
    }

    /// The thing that a name stands for.
    pub(super) fn get(&self, name: &str) -> Option<Target> {
        self.by_name.get(name).map(|(_, target)| *target)
    }

    /// Sets it; whether there was no entry of this name.
    pub(super) fn set(&mut self, name: &str, target: Target) -> bool {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.1 = target;
            return false;
        }
        let (cookie, name) = (self.next, Arc::<str>::from(name));
        self.next += 1;
        self.by_cookie.insert(cookie, name.clone());
        self.by_name.insert(name, (cookie, target));
        true
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some((cookie, _)) = self.by_name.remove(name) {
            self.by_cookie.remove(&cookie);
        }
    }

    /// Names of nodes from a cookie on, in the order of their cookies.
    pub(super) fn nodes_from(&self, cookie: u64) -> impl Iterator<Item = (u64, &Arc<str>, Id)> {
        self.by_cookie.range(cookie..).filter_map(|(cookie, name)| match self.get(name)? {
            Target::Node(node) => Some((*cookie, name, node)),
            Target::Whiteout => None,
        })
    }
}
