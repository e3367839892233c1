//! Calls that leave the instance: to another instance, or to a host function.

use super::{array_bytes, cells, stub};
use crate::builder::{CodeBuilder, Region};
use crate::symbol::Symbol;
use crate::target::{self, POINTER};
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value};
use std::mem::offset_of;
use wfaas_abi::context::{FuncImport, HostContext};
use wfaas_abi::{Hostcall, ValType};

/// The thunk of imported function `index`.
pub(crate) fn import(code: &mut CodeBuilder<'_>, index: u32, arguments: &[Value]) {
    let ty = code.module.funcs[index as usize];
    let record = code.layout.host.funcs + index as usize * size_of::<FuncImport>();
    let record = code.host_address(record);
    call_record(code, ty, record, arguments);
}

/// The thunk that calls a foreign function of type `ty`: its index is the first argument.
pub(crate) fn foreign(code: &mut CodeBuilder<'_>, ty: u32, arguments: &[Value]) {
    let record = code.hostcall(Hostcall::ForeignFunc, &arguments[..1]);
    call_record(code, ty, record, &arguments[1..]);
}

/// Calls the function of a [`FuncImport`] record and returns its results.
fn call_record(code: &mut CodeBuilder<'_>, ty: u32, record: Value, arguments: &[Value]) {
    let base = code.constant_load(record, offset_of!(FuncImport, base) as i32);
    let guest = code.blocks().create_block();
    let host = code.blocks().create_block();
    code.ins().brif(base, guest, &[], host, &[]);

    code.continue_in(guest);
    // A piece of its own: what it saves around the call, a call of the host need not.
    let bridge = Symbol::Bridge(code.module.first_equal[ty as usize]);
    code.return_call(bridge, &[&[record], arguments].concat());

    code.continue_in(host);
    let callee = code.constant_load(record, offset_of!(FuncImport, code) as i32);
    let env = code.constant_load(record, offset_of!(FuncImport, env) as i32);
    call_host(code, ty, callee, env, arguments);
}

/// The bridge of type `ty`: calls the function of another instance whose record is the first
/// argument, with its BASE, and with references in terms that it understands.
pub(crate) fn bridge(code: &mut CodeBuilder<'_>, ty: u32, arguments: &[Value]) {
    let (record, arguments) = (arguments[0], &arguments[1..]);
    let callee = code.constant_load(record, offset_of!(FuncImport, code) as i32);
    let base = code.constant_load(record, offset_of!(FuncImport, base) as i32);
    let types = code.func_type(ty);
    let own_base = code.base();
    let arguments = globalize(code, types.params(), own_base, arguments);
    let signature = code.guest_signature(ty);
    let landing = code.cold_block();
    let exception = code.blocks().append_block_param(landing, POINTER);
    code.blocks().append_block_param(landing, POINTER);

    code.set_base(base);
    let results = code.try_call_indirect(signature, callee, &arguments, landing);
    code.set_base(own_base);
    let results = globalize(code, types.results(), base, &results);
    code.ins().return_(&results);

    // The exception comes with the BASE of the instance that threw it.
    code.continue_in(landing);
    code.set_base(own_base);
    code.call(Symbol::Hostcall(Hostcall::ThrowRef), &[exception]);
    code.never_reached();
}

/// Translates function references held by the instance with the BASE `base`.
fn globalize(
    code: &mut CodeBuilder<'_>,
    types: &[ValType],
    base: Value,
    values: &[Value],
) -> Vec<Value> {
    let mut translate = |(ty, value): (&ValType, &Value)| {
        if ty.is_func_ref() { code.hostcall(Hostcall::Globalize, &[base, *value]) } else { *value }
    };
    types.iter().zip(values).map(&mut translate).collect()
}

/// Calls a host function: arguments and results are in an array.
fn call_host(code: &mut CodeBuilder<'_>, ty: u32, callee: Value, env: Value, arguments: &[Value]) {
    let types = code.func_type(ty);
    stub::leave(code);
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, array_bytes(types), 4);
    let slot = code.blocks().create_sized_stack_slot(slot);
    let array = code.ins().stack_addr(POINTER, slot, 0);
    let flags = code.trusted(Region::Cells);
    for ((_, offset), argument) in cells(types.params()).zip(arguments) {
        code.ins().store(flags, *argument, array, offset);
    }
    let instance = code.host_load(offset_of!(HostContext, instance));
    let signature = code.import_signature(target::host_function_signature());
    code.call_indirect(signature, callee, &[env, instance, array]);
    let results: Vec<Value> = cells(types.results())
        .map(|(ty, offset)| code.ins().load(ty, flags, array, offset))
        .collect();
    code.ins().return_(&results);
}
