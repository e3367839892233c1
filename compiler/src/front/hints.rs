//! Branch hints: which way branches mostly go, from the custom section
//! `metadata.code.branch_hint` (Core Specification, appendix "Custom Sections").

use super::index::FuncIndex;
use std::collections::HashMap;
use wasmparser::{BranchHintFunction, SectionLimited};

/// The hints of a module.
#[derive(Debug, Default)]
pub(crate) struct BranchHints(HashMap<u32, Vec<(u32, bool)>>);

impl BranchHints {
    /// The hints of a section. They are informative: whatever comes after something malformed is
    /// ignored.
    pub(crate) fn from_section(section: SectionLimited<'_, BranchHintFunction<'_>>) -> Self {
        let mut functions = HashMap::new();
        for function in section.into_iter().map_while(Result::ok) {
            let hints = function.hints.into_iter().map_while(Result::ok);
            let mut hints: Vec<_> = hints.map(|hint| (hint.func_offset, hint.taken)).collect();
            hints.sort_unstable();
            functions.insert(function.func, hints);
        }
        BranchHints(functions)
    }

    /// The hints of a function: offset from the start of its body, and whether the branch there
    /// is mostly taken; ascending.
    pub(crate) fn of(&self, function: FuncIndex) -> &[(u32, bool)] {
        self.0.get(&function.as_u32()).map_or(&[], Vec::as_slice)
    }
}
