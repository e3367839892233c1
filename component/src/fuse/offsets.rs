//! DWARF: the sections of one core module, and the places in its code that instructions of the fused module come from.
//!
//! DWARF speaks of offsets in the code section of a module. Copied code has others, since indices take more or fewer bytes.
//! Between two of those that do, the difference is the same: a *run*.
//!
//! ```text
//!  custom ".debug_info"       the core module's own sections, in order
//!  ...
//!  custom ".wfaas.offsets"    bytes before the first function; then runs, each: bytes between the one before and it, its
//!                             bytes (LEB128), and the difference between the offset in the core module and its own,
//!                             which counts from the first function on (signed LEB128)
//! ```

use crate::graph::Graph;
use crate::parse::Module;
use std::borrow::Cow;
use wasm_encoder::{CustomSection, Encode};

/// Name of the section with the runs.
pub(super) const OFFSETS: &str = ".wfaas.offsets";

/// Bytes of fused code whose difference is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    start: u32,
    end: u32,
    /// The start in the core module.
    original: u32,
}

/// The runs of a function, with offsets in its body.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Run>);

/// The runs of the code section.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    /// The core instance that they are of.
    instance: Option<usize>,
    runs: Vec<u8>,
    /// The end of the last run, from the first function on.
    end: u32,
}

impl Places {
    /// Notes that an instruction at `at` comes from `original`.
    pub(super) fn note(&mut self, at: usize, original: u32) {
        let at = at as u32; // a function has less than 4 GiB
        match self.0.last_mut() {
            Some(run) if original.wrapping_sub(run.original) == at.wrapping_sub(run.start) => {
                run.end = at
            }
            Some(run) => {
                run.end = at;
                self.0.push(Run { start: at, end: at, original });
            }
            None => self.0.push(Run { start: at, end: at, original }),
        }
    }
}

impl Offsets {
    /// Of the largest core instance with DWARF.
    pub(super) fn of(graph: &Graph<'_>) -> Offsets {
        let instances = graph.instances.iter().enumerate();
        let with_debug = instances.filter(|(_, instance)| !instance.module.debug.is_empty());
        let largest = with_debug.max_by_key(|(_, instance)| instance.module.bytes);
        Offsets { instance: largest.map(|(place, _)| place), ..Offsets::default() }
    }

    /// Whether the runs are those of this core instance.
    pub(super) fn are_of(&self, instance: usize) -> bool {
        self.instance == Some(instance)
    }

    /// Adds the runs of a function, whose body begins at `start` behind the number of functions, and has `bytes`.
    pub(super) fn function(&mut self, start: usize, bytes: usize, places: Places) {
        let Places(mut runs) = places;
        if let Some(last) = runs.last_mut() {
            last.end = bytes as u32;
        }
        for run in runs {
            let [from, to] = [run.start, run.end].map(|at| start as u32 + at);
            from.saturating_sub(self.end).encode(&mut self.runs);
            (to - from).encode(&mut self.runs);
            (i64::from(run.original) - i64::from(from)).encode(&mut self.runs);
            self.end = to;
        }
    }

    /// The sections, for a module with so many functions of its own.
    pub(super) fn sections<'a>(
        &'a self,
        graph: &Graph<'a>,
        functions: u32,
    ) -> Vec<CustomSection<'a>> {
        let Some(instance) = self.instance.and_then(|place| graph.instances.get(place)) else {
            return Vec::new();
        };
        let custom = |name: &'a str, data: Cow<'a, [u8]>| CustomSection { name: name.into(), data };
        let debug = instance.module.debug.iter();
        let mut sections: Vec<_> = debug.map(|(name, data)| custom(name, (*data).into())).collect();
        // The code section begins with the number of functions.
        let mut runs = Vec::new();
        functions.encode(&mut runs);
        let before = runs.len() as u32;
        runs.clear();
        before.encode(&mut runs);
        runs.extend_from_slice(&self.runs);
        sections.push(custom(OFFSETS, runs.into()));
        sections
    }
}

/// An offset in a component, from the start of a module's code section.
pub(super) fn in_code(module: &Module<'_>, offset: u64) -> u32 {
    offset.saturating_sub(module.code_start) as u32 // within a module, of less than 4 GiB
}
