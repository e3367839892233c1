//! What the store holds, in memory: a change reads and lists nothing of the other functions.

use std::collections::{BTreeMap, HashMap};
use wfaas_function::FunctionName;

/// The artifacts of all stored functions.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Content hash of a function's artifact; `None` if the function's file cannot be read.
    artifacts: BTreeMap<FunctionName, Option<String>>,
    /// How many functions use an artifact.
    users: HashMap<String, usize>,
    /// Functions with an unknown artifact, and files that are none of a function.
    unknown: usize,
}

/// The artifact that a function had before a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// There was no function.
    Nothing,
    /// The one with this content hash.
    Artifact(String),
    /// One that is not known: the function's file could not be read.
    Unknown,
}

impl Index {
    /// A file that is none of a function: it may be one of a later version.
    pub(super) fn add_stranger(&mut self) {
        self.unknown += 1;
    }

    /// A function has this artifact now.
    pub(super) fn set(&mut self, name: FunctionName, artifact: Option<String>) -> Before {
        match &artifact {
            Some(hash) => *self.users.entry(hash.clone()).or_default() += 1,
            None => self.unknown += 1,
        }
        let old = self.artifacts.insert(name, artifact);
        self.release(old)
    }

    /// A function is gone.
    pub(super) fn remove(&mut self, name: &FunctionName) -> Before {
        let old = self.artifacts.remove(name);
        self.release(old)
    }

    fn release(&mut self, old: Option<Option<String>>) -> Before {
        let hash = match old {
            None => return Before::Nothing,
            Some(None) => {
                self.unknown -= 1;
                return Before::Unknown;
            }
            Some(Some(hash)) => hash,
        };
        if let Some(count) = self.users.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&hash);
            }
        }
        Before::Artifact(hash)
    }

    /// Whether it is known of all functions which artifact they use.
    pub(super) fn is_complete(&self) -> bool {
        self.unknown == 0
    }

    /// Whether a function is known to use the artifact.
    pub(super) fn is_used(&self, hash: &str) -> bool {
        self.users.contains_key(hash)
    }
}
