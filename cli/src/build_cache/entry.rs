//! The bytes of an entry.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use wfaas_build::{Built, Report};

const MAGIC: [u8; 8] = *b"faas\0bld";

/// The length of a debug file that is not there.
const NONE: u64 = u64::MAX;

const HASH: std::ops::Range<usize> = 8..40;
const LENGTHS: std::ops::Range<usize> = 40..64;

/// A [`Report`] as it is written.
#[derive(Serialize, Deserialize)]
struct Facts {
    compile: Duration,
    init: Option<Duration>,
    warm_up: Option<Duration>,
    notes: Vec<String>,
}

/// An entry to write.
pub(super) struct Written<'b> {
    head: Vec<u8>,
    built: &'b Built,
    facts: Vec<u8>,
}

impl Written<'_> {
    /// The entry of a build.
    pub(super) fn of(built: &Built) -> Written<'_> {
        // A build that saw directories is not kept.
        let Report { compile, init, warm_up, notes, saw_dirs: _ } = built.report.clone();
        let facts = Facts { compile, init, warm_up, notes };
        let facts = serde_json::to_vec(&facts).expect("numbers and strings are JSON");
        let debug = built.debug.as_ref().map_or(NONE, |debug| debug.len() as u64);
        let lengths = [built.artifact.len() as u64, debug, facts.len() as u64];
        let lengths: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
        let mut written = Written { head: lengths, built, facts };
        let mut hash = blake3::Hasher::new();
        written.parts().iter().for_each(|part| _ = hash.update(part));
        written.head = [&MAGIC, &hash.finalize().as_bytes()[..], &written.head].concat();
        written
    }

    /// Its bytes, in parts.
    pub(super) fn parts(&self) -> [&[u8]; 4] {
        let debug = self.built.debug.as_deref().unwrap_or_default();
        [&self.head, &self.built.artifact, debug, &self.facts]
    }

    /// The number of its bytes.
    pub(super) fn len(&self) -> u64 {
        self.parts().iter().map(|part| part.len() as u64).sum()
    }
}

/// The build of an entry, if it is whole.
pub(super) fn parse(bytes: Vec<u8>) -> Option<Built> {
    let (head, parts) = bytes.split_at_checked(LENGTHS.end)?;
    let hash = blake3::hash(&bytes[LENGTHS.start..]);
    if head[..HASH.start] != MAGIC || head[HASH] != *hash.as_bytes() {
        return None;
    }
    let lengths = head[LENGTHS].as_chunks().0;
    let length = |number: usize| lengths.get(number).map(|bytes| u64::from_le_bytes(*bytes));
    let debug = Some(length(1)?).filter(|length| *length != NONE);
    let (artifact, rest) = parts.split_at_checked(usize::try_from(length(0)?).ok()?)?;
    let (debug_file, facts) = rest.split_at_checked(usize::try_from(debug.unwrap_or(0)).ok()?)?;
    if facts.len() as u64 != length(2)? {
        return None;
    }
    let Facts { compile, init, warm_up, notes } = serde_json::from_slice(facts).ok()?;
    Some(Built {
        artifact: artifact.to_vec(),
        debug: debug.map(|_| debug_file.to_vec()),
        report: Report { compile, init, warm_up, notes, saw_dirs: false },
    })
}
