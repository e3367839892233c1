//! Names of functions: those of the largest core module as they are, those of others behind the module's name.

use super::spaces::Spaces;
use crate::graph::Graph;
use crate::parse::Module;
use std::collections::BTreeMap;
use wasm_encoder::{NameMap, NameSection};
use wasmparser::Name;

/// Most bytes of a module's name in the name of a function.
const MAX_MODULE_NAME: usize = 64;

/// The names while they are collected, by index.
#[derive(Default)]
pub(super) struct Names {
    names: BTreeMap<u32, String>,
    /// The core instance with the most bytes.
    main: usize,
}

impl Names {
    pub(super) fn of(graph: &Graph<'_>) -> Names {
        let instances = graph.instances.iter().enumerate();
        let main = instances.max_by_key(|(_, instance)| instance.module.bytes);
        Names { names: BTreeMap::new(), main: main.map_or(0, |(index, _)| index) }
    }

    /// Names a function, unless it has a name.
    pub(super) fn add(&mut self, index: u32, name: impl FnOnce() -> String) {
        self.names.entry(index).or_insert_with(name);
    }

    /// Names the functions of a core instance.
    pub(super) fn instance(&mut self, spaces: &Spaces, instance: usize, module: &Module<'_>) {
        let funcs = &spaces.instances[instance].funcs;
        let prefix = match instance == self.main {
            true => String::new(),
            false => format!("{}!", label(instance, module)),
        };
        // The section is informative: what comes after something malformed is ignored.
        for subsection in module.names.clone().into_iter().flatten().map_while(Result::ok) {
            let Name::Function(names) = subsection else { continue };
            for name in names.into_iter().map_while(Result::ok) {
                if let Some(index) = funcs.get_defined(name.index) {
                    self.add(index, || format!("{prefix}{}", name.name));
                }
            }
        }
    }

    /// The name section.
    pub(super) fn section(&self) -> NameSection {
        let mut functions = NameMap::new();
        for (index, name) in &self.names {
            functions.append(*index, name);
        }
        let mut section = NameSection::new();
        section.functions(&functions);
        section
    }
}

/// The name of a core module, or the place of its instance.
fn label(instance: usize, module: &Module<'_>) -> String {
    let name = module.name.filter(|name| !name.is_empty() && name.len() <= MAX_MODULE_NAME);
    name.map_or_else(|| format!("module {instance}"), str::to_owned)
}
