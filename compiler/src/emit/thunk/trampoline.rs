//! Array trampolines: how the VM calls guest code.

use super::cells;
use crate::emit::builder::{CodeBuilder, Region};
use crate::front::index::TypeIndex;
use cranelift_codegen::ir::{InstBuilder, Value};

/// The array trampoline of type `ty`, an `extern "C" fn(code, cells)`. The VM enters it on the
/// guest's stack, with BASE in its register.
pub(crate) fn trampoline(code: &mut CodeBuilder<'_>, ty: TypeIndex, arguments: &[Value]) {
    let (callee, array) = (arguments[0], arguments[1]);
    let types = code.func_type(ty);
    let flags = code.trusted(Region::Cells);
    let values: Vec<Value> = cells(types.params())
        .map(|(ty, offset)| code.ins().load(ty, flags, array, offset))
        .collect();
    let signature = code.guest_signature(ty);
    let call = code.call_indirect(signature, callee, &values);
    for ((_, offset), result) in cells(types.results()).zip(code.results(call)) {
        code.ins().store(flags, result, array, offset);
    }
    code.ins().return_(&[]);
}
