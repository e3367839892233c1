//! A map for a walk over the dominator tree: entries hold in a block and all it dominates.

use super::FxHashMap;
use std::hash::Hash;

/// A map whose changes are undone when their scope is left.
#[derive(Debug)]
pub(crate) struct ScopedMap<K, V> {
    map: FxHashMap<K, V>,
    /// The entry before each change.
    undo: Vec<(K, Option<V>)>,
    /// Changes there were when each scope was entered.
    scopes: Vec<usize>,
}

impl<K, V> Default for ScopedMap<K, V> {
    fn default() -> Self {
        ScopedMap { map: FxHashMap::default(), undo: Vec::new(), scopes: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V> ScopedMap<K, V> {
    pub(crate) fn enter(&mut self) {
        self.scopes.push(self.undo.len());
    }

    pub(crate) fn leave(&mut self) {
        let mark = self.scopes.pop().expect("entered before");
        for (key, before) in self.undo.drain(mark..).rev() {
            match before {
                Some(value) => self.map.insert(key, value),
                None => self.map.remove(&key),
            };
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.map.get(&key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let before = self.map.insert(key, value);
        self.undo.push((key, before));
    }
}
