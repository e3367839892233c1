//! Escape analysis of function references: whether they leave the module or come into it, and so which
//! functions the host may call.
//!
//! References cross by the types of functions and tags, and by tables and globals that are imported or
//! exported. Most modules have none of these: their references are to their own functions, which nobody else
//! can name, so an indirect call has no foreign callee, and the host calls exports alone. (J.-D. Choi et al.,
//! "Escape Analysis for Java", 1999; here without a look at the code.)

use super::index::{FuncIndex, GlobalIndex, TypeIndex};
use super::module::{ImportType, Module};
use std::collections::BTreeSet;
use wfaas_abi::artifact::records::ExternKind;

/// Whether function references may cross the border of a module.
pub(crate) fn references_escape(module: &Module<'_>) -> bool {
    let values = module.types.values().flat_map(|ty| ty.params().iter().chain(ty.results()));
    let imports = module.imports.iter().any(|import| match import.ty {
        ImportType::Table(_) => true,
        ImportType::Global(global) => global.ty.is_func_ref(),
        ImportType::Func(_) | ImportType::Memory(_) | ImportType::Tag(_) => false,
    });
    let exports = module.exports.iter().any(|export| match export.kind {
        ExternKind::Table => true,
        ExternKind::Global => module.globals[GlobalIndex::from_u32(export.index)].ty.is_func_ref(),
        ExternKind::Func | ExternKind::Memory | ExternKind::Tag => false,
    });
    imports || exports || values.into_iter().any(|ty| ty.is_func_ref())
}

/// The types of the functions that the host may call, the first of those that are equal.
pub(crate) fn types_called_by_host(module: &Module<'_>) -> BTreeSet<TypeIndex> {
    let first = |ty: &TypeIndex| module.first_equal[*ty];
    if module.references_escape {
        return module.funcs.values().map(first).collect();
    }
    let exports = module.exports.iter().filter(|export| export.kind == ExternKind::Func);
    let exports = exports.map(|export| FuncIndex::from_u32(export.index));
    exports.chain(module.start).map(|func| first(&module.funcs[func])).collect()
}
