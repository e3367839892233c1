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

/// Entries. Each that is listed has a cookie, which is its own as long as the name is there: a listing goes
/// on at a cookie, whatever has come or gone.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Targets, and the cookies of nodes.
    by_name: BTreeMap<Arc<str>, (u64, Target)>,
    /// Names of nodes. Whiteouts are not listed: nobody has to step over them.
    by_cookie: BTreeMap<u64, Arc<str>>,
    next: u64,
    cost: u64,
}

impl Entries {
    /// Bytes that an entry counts as.
    pub(super) fn cost(name: &str) -> u64 {
        name.len() as u64 + 160
    }

    /// Bytes that all entries count as.
    pub(super) fn cost_of_all(&self) -> u64 {
        self.cost
    }

    /// The thing that a name stands for.
    pub(super) fn get(&self, name: &str) -> Option<Target> {
        self.by_name.get(name).map(|(_, target)| *target)
    }

    /// Sets it; whether there was no entry of this name.
    pub(super) fn set(&mut self, name: &str, target: Target) -> bool {
        let before = self.by_name.get_key_value(name);
        let before = before.map(|(name, entry)| (name.clone(), *entry));
        let Some((name, (cookie, old))) = before else {
            let name = Arc::<str>::from(name);
            self.cost += Entries::cost(&name);
            self.insert(name, target);
            return true;
        };
        match (old, target) {
            // It keeps its place.
            (Target::Node(_), Target::Node(_)) => _ = self.by_name.insert(name, (cookie, target)),
            (Target::Node(_), Target::Whiteout) => {
                self.by_cookie.remove(&cookie);
                self.insert(name, target);
            }
            (Target::Whiteout, _) => self.insert(name, target),
        }
        false
    }

    /// Sets a name that is not listed; it gets a cookie if it is now.
    fn insert(&mut self, name: Arc<str>, target: Target) {
        let cookie = self.next;
        if target != Target::Whiteout {
            self.next += 1;
            self.by_cookie.insert(cookie, name.clone());
        }
        self.by_name.insert(name, (cookie, target));
    }

    /// Drops entries, at most so many; how many more it might have been.
    pub(super) fn shed(&mut self, most: usize) -> usize {
        let left = (0..most).find(|_| self.by_name.pop_first().is_none());
        left.and_then(|from| (from..most).find(|_| self.by_cookie.pop_first().is_none()))
            .map_or(0, |shed| most - shed)
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some((cookie, target)) = self.by_name.remove(name) {
            self.cost -= Entries::cost(name);
            if target != Target::Whiteout {
                self.by_cookie.remove(&cookie);
            }
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
