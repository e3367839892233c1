//! Names of the functions that the host calls.

use crate::graph::{Def, Source};
use std::collections::HashMap;

/// Functions of the fused module that the host calls, by name.
#[derive(Default)]
pub(super) struct Exports {
    pub(super) functions: Vec<(String, Def)>,
    names: HashMap<(String, Source), String>,
    taken: HashMap<String, u32>,
}

impl Exports {
    /// The name under which `def` is exported: `wanted`, with a number if another function has it.
    pub(super) fn name(&mut self, wanted: &str, def: Def) -> String {
        if let Some(name) = self.names.get(&(wanted.to_owned(), def.source)) {
            return name.clone();
        }
        let taken = self.taken.entry(wanted.to_owned()).or_default();
        *taken += 1;
        let name = numbered(wanted, *taken);
        self.functions.push((name.clone(), def));
        self.names.insert((wanted.to_owned(), def.source), name.clone());
        name
    }
}

/// A name, followed by its number if it is not the first. `#` is in no name of a component's imports or exports.
pub(super) fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}#{number}") }
}
