//! The file of one function.

use super::{StoreError, files};
use serde::{Deserialize, Serialize};
use std::path::Path;
use wfaas_function::{FunctionName, Spec};

/// Version of the format. Another version is refused.
const VERSION: u32 = 1;

/// Most bytes of a file that are read.
const MAX_BYTES: u64 = 4 << 20;

/// A function as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    version: u32,
    pub(crate) name: FunctionName,
    /// Content hash of the artifact, in hexadecimal.
    pub(crate) artifact: String,
    pub(crate) config: Spec,
}

impl Entry {
    pub(crate) fn new(name: FunctionName, artifact: String, config: Spec) -> Entry {
        Entry { version: VERSION, name, artifact, config: Spec { name: None, ..config } }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings and numbers are JSON");
        json.push(b'\n');
        json
    }

    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Entry, StoreError> {
        let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
        let json = files::read(path, MAX_BYTES + 1)?;
        if json.len() as u64 > MAX_BYTES {
            return Err(damaged("it is too long".to_owned()));
        }
        let entry: Entry =
            serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
        if entry.version != VERSION {
            return Err(damaged(format!("version {} is unknown", entry.version)));
        }
        let hash = &entry.artifact;
        if hash.len() != 64 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(damaged("the artifact's hash is not 64 hexadecimal digits".to_owned()));
        }
        if path.file_stem() != Some(entry.name.as_str().as_ref()) {
            return Err(damaged(format!("it describes the function {}", entry.name)));
        }
        Ok(entry)
    }
}
