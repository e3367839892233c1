//! Operations on a store, and what becomes of them.

use super::{MAX_KEY, MAX_KEYS, MAX_OPERATION, MAX_PAGE, StoreError};
use std::collections::BTreeMap;

/// An operation on one store. Each is done as a whole or not at all, and no other is seen between its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The values of keys: [`Outcome::Values`].
    Get(Vec<String>),
    /// Whether there is a key: [`Outcome::Exists`].
    Exists(String),
    /// Sets values: [`Outcome::Done`].
    Set(BTreeMap<String, Vec<u8>>),
    /// Removes keys, if they are there: [`Outcome::Done`].
    Delete(Vec<String>),
    /// Keys in their order, so many at most: [`Outcome::Keys`].
    List {
        /// The key before the first one.
        after: Option<String>,
        /// Most keys; there may be fewer, but not none if any is left.
        most: usize,
    },
    /// Adds to a value, a decimal number, which begins with 0: [`Outcome::Number`].
    Increment {
        /// The key.
        key: String,
        /// The number to add.
        by: i64,
    },
    /// Sets a value if it is as expected: [`Outcome::Swapped`].
    Swap {
        /// The key.
        key: String,
        /// The value that is expected; `None` if there is to be none.
        expected: Option<Vec<u8>>,
        /// The value to set.
        value: Vec<u8>,
    },
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// Values in the order of their keys; `None` for a key that is not there.
    Values(Vec<Option<Vec<u8>>>),
    /// Whether there is the key.
    Exists(bool),
    /// Keys.
    Keys(Page),
    /// The number that is stored now.
    Number(i64),
    /// Whether the value was set. If not, the store is as before.
    Swapped(bool),
}

/// Some of the keys of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys, in the order of their bytes.
    pub keys: Vec<String>,
    /// Whether there are others behind them.
    pub more: bool,
}

impl Operation {
    /// The value of one key.
    pub fn get(key: impl Into<String>) -> Operation {
        Operation::Get(vec![key.into()])
    }

    /// Sets the value of one key.
    pub fn set(key: impl Into<String>, value: Vec<u8>) -> Operation {
        Operation::Set(BTreeMap::from([(key.into(), value)]))
    }

    /// Removes one key.
    pub fn delete(key: impl Into<String>) -> Operation {
        Operation::Delete(vec![key.into()])
    }

    /// The operation within the limits.
    pub(super) fn checked(mut self) -> Result<Operation, StoreError> {
        match &mut self {
            Operation::Delete(keys) => {
                keys.sort_unstable();
                keys.dedup();
            }
            Operation::List { most, .. } => *most = (*most).clamp(1, MAX_PAGE),
            _ => {}
        }
        match &self {
            Operation::Get(keys) | Operation::Delete(keys) => {
                check(keys.iter().map(|key| (key, 0)))
            }
            Operation::Exists(key) | Operation::Increment { key, .. } => check([(key, 0)]),
            Operation::Set(pairs) => check(pairs.iter().map(|(key, value)| (key, value.len()))),
            Operation::Swap { key, expected, value } => {
                let expected = expected.as_ref().map_or(0, Vec::len);
                check([(key, expected.max(value.len()))])
            }
            Operation::List { after: None, .. } => Ok(()),
            Operation::List { after: Some(key), .. } => check([(key, 0)]),
        }?;
        Ok(self)
    }
}

/// Checks keys, and lengths of their values.
fn check<'a>(pairs: impl IntoIterator<Item = (&'a String, usize)>) -> Result<(), StoreError> {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    for (key, value) in pairs {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(StoreError::Key);
        }
        count += 1;
        bytes = bytes.saturating_add(key.len()).saturating_add(value);
    }
    match (count, bytes) {
        (count, _) if count > MAX_KEYS => Err(StoreError::TooManyKeys(count)),
        (_, bytes) if bytes > MAX_OPERATION => Err(StoreError::TooLarge),
        _ => Ok(()),
    }
}
