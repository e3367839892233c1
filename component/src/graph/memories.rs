//! The memories of a graph, and their numbers in the fused module.

use super::{Def, Graph, Source};
use crate::error::{ComponentError, invalid};
use crate::parse::Kind;
use std::collections::HashMap;

/// Most memories of a fused module.
pub(crate) const MAX_MEMORIES: usize = 16;

/// The number of each memory. The one that most code uses is the first: it is reached fastest.
#[derive(Debug, Default)]
pub(crate) struct Memories(HashMap<Source, u32>);

impl Memories {
    /// The memories of all core instances.
    ///
    /// # Errors
    /// [`ComponentError::TooLarge`] beyond [`MAX_MEMORIES`].
    pub(crate) fn of(graph: &Graph<'_>) -> Result<Memories, ComponentError> {
        let mut found: Vec<(Source, usize)> = Vec::new();
        for (instance, core) in graph.instances.iter().enumerate() {
            let imports = core.module.imports_of(Kind::Memory);
            let imported =
                imports.iter().filter_map(|place| Some(core.imports.get(*place)?.source));
            let defined = core.module.memories.as_ref().map_or(0, |section| section.count());
            let first = imports.len() as u32;
            let own = (first..first + defined).map(|index| Source::Instance { instance, index });
            for memory in imported.chain(own) {
                match found.iter_mut().find(|(known, _)| *known == memory) {
                    Some((_, bytes)) => *bytes = bytes.saturating_add(core.module.bytes),
                    None => found.push((memory, core.module.bytes)),
                }
                if found.len() > MAX_MEMORIES {
                    let what = "the number of memories";
                    return Err(ComponentError::TooLarge { what, limit: MAX_MEMORIES });
                }
            }
        }
        // Stable: the first one of equals is the first one.
        found.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let numbers = found.into_iter().zip(0..).map(|((memory, _), number)| (memory, number));
        Ok(Memories(numbers.collect()))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.0.len() as u32 // at most `MAX_MEMORIES`
    }

    /// The number of a memory.
    pub(crate) fn number(&self, memory: Def) -> Result<u32, ComponentError> {
        let number = self.0.get(&memory.source).copied();
        number.ok_or(invalid("a memory that is not there"))
    }
}
