//! Names of functions for people: from the name section, the imports or the exports.

use super::index::FuncIndex;
use super::module::Module;
use cranelift_codegen::entity::PrimaryMap;
use wasmparser::{Name, NameSectionReader};
use wfaas_abi::artifact::records::ExternKind;

/// The function names of a name section, sorted by index. The section is informative: whatever
/// comes after something malformed in it is ignored.
pub(crate) fn from_section<'a>(reader: NameSectionReader<'a>) -> Vec<(u32, &'a str)> {
    let mut names = Vec::new();
    for subsection in reader {
        let Ok(subsection) = subsection else { break };
        if let Name::Function(map) = subsection {
            names.extend(map.into_iter().map_while(Result::ok).map(|name| (name.index, name.name)));
        }
    }
    names.sort_by_key(|(index, _)| *index);
    names.dedup_by_key(|(index, _)| *index);
    names
}

/// The names of all functions that have one, in the order of the index space.
pub(crate) fn of_functions(module: &Module<'_>) -> PrimaryMap<FuncIndex, Option<String>> {
    let mut names: PrimaryMap<FuncIndex, Option<String>> =
        module.funcs.keys().map(|_| None).collect();
    // Backwards, so that the first export of a function names it.
    for export in module.exports.iter().rev().filter(|export| export.kind == ExternKind::Func) {
        names[FuncIndex::from_u32(export.index)] = Some(export.name.to_owned());
    }
    for (index, name) in module.func_names.iter().filter(|(_, name)| !name.is_empty()) {
        // The name section is not validated: the index may be anything.
        if (*index as usize) < names.len() {
            names[FuncIndex::from_u32(*index)] = Some((*name).to_owned());
        }
    }
    for (slot, import) in names.values_mut().zip(module.func_imports()) {
        *slot = Some(format!("import:{}.{}", import.module, import.name));
    }
    names
}
