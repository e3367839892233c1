//! Calls that leave the instance: to another instance, or to a host function.

use super::{array_bytes, cells, stub};
use crate::emit::builder::{CodeBuilder, Region};
use crate::emit::signature::{self, POINTER, clif_type};
use crate::front::index::{FuncIndex, TypeIndex};
use crate::symbol::Symbol;
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{
    InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Value, types,
};
use std::mem::offset_of;
use wfaas_abi::context::{FuncImport, HostContext, RuntimeContext};
use wfaas_abi::{Hostcall, ValType};

/// The thunk of an imported function.
pub(crate) fn import(code: &mut CodeBuilder<'_>, func: FuncIndex, arguments: &[Value]) {
    let ty = code.module.funcs[func];
    let record = code.layout.host.funcs + func.index() * size_of::<FuncImport>();
    let record = code.host_address(record);
    call_record(code, ty, record, arguments);
}

/// The thunk that calls a foreign function, which must be of type `ty`: its index is the first
/// argument.
pub(crate) fn foreign(code: &mut CodeBuilder<'_>, ty: TypeIndex, arguments: &[Value]) {
    let expected = code.index(ty.as_u32());
    let record = code.hostcall(Hostcall::ForeignFunc, &[arguments[0], expected]);
    call_record(code, ty, record, &arguments[1..]);
}

/// Calls the function of a [`FuncImport`] record and returns its results.
fn call_record(code: &mut CodeBuilder<'_>, ty: TypeIndex, record: Value, arguments: &[Value]) {
    let base = code.constant_load(record, offset_of!(FuncImport, base) as i32);
    let guest = code.blocks().create_block();
    let host = code.blocks().create_block();
    code.ins().brif(base, guest, &[], host, &[]);

    code.continue_in(guest);
    let onward = code.blocks().create_block();
    let across = code.blocks().create_block();
    let returns_to_bridge = returns_to_bridge(code);
    code.ins().brif(returns_to_bridge, onward, &[], across, &[]);

    // The bridge below restores its caller's BASE, whichever instance returns to it.
    code.continue_in(onward);
    let callee = code.constant_load(record, offset_of!(FuncImport, code) as i32);
    let own_base = code.base();
    let globalized = globalize(code, code.func_type(ty).params(), own_base, arguments);
    code.set_base(base);
    let signature = code.guest_signature(ty);
    code.ins().return_call_indirect(signature, callee, &globalized);

    code.continue_in(across);
    // A piece of its own: what it saves around the call, a call of the host need not.
    let bridge = Symbol::Bridge(code.module.first_equal[ty]);
    code.return_call(bridge, &[&[record], arguments].concat());

    code.continue_in(host);
    let callee = code.constant_load(record, offset_of!(FuncImport, code) as i32);
    let env = code.constant_load(record, offset_of!(FuncImport, env) as i32);
    call_host(code, ty, callee, env, arguments);
}

/// Whether this thunk's caller made a tail call, and will return to the innermost bridge: that is
/// the next frame then. The bridge has the results of this thunk's type, and only those matter.
fn returns_to_bridge(code: &mut CodeBuilder<'_>) -> Value {
    let flags = code.trusted(Region::Runtime);
    let frame = code.ins().get_frame_pointer(POINTER);
    let next = code.ins().load(POINTER, flags, frame, 0);
    let runtime = code.host_load(offset_of!(HostContext, runtime));
    let bridge_fp = offset_of!(RuntimeContext, bridge_fp) as i32;
    let innermost = code.ins().load(POINTER, flags, runtime, bridge_fp);
    code.equal(next, innermost)
}

/// Makes `bridge` the innermost bridge; the one before.
fn set_bridge(code: &mut CodeBuilder<'_>, bridge: Value) -> Value {
    let flags = code.trusted(Region::Runtime);
    let runtime = code.host_load(offset_of!(HostContext, runtime));
    let bridge_fp = offset_of!(RuntimeContext, bridge_fp) as i32;
    let outer = code.ins().load(POINTER, flags, runtime, bridge_fp);
    code.ins().store(flags, bridge, runtime, bridge_fp);
    outer
}

/// The bridge of type `ty`: calls the function of another instance whose record is the first
/// argument, with its BASE, and with references in terms that it understands.
pub(crate) fn bridge(code: &mut CodeBuilder<'_>, ty: TypeIndex, arguments: &[Value]) {
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

    let frame = code.ins().get_frame_pointer(POINTER);
    let outer = set_bridge(code, frame);
    code.set_base(base);
    let results = code.try_call_indirect(signature, callee, &arguments, landing);
    // After tail calls not the callee's, but that of the instance that returns.
    let returning = code.base();
    code.set_base(own_base);
    set_bridge(code, outer);
    let results = globalize(code, types.results(), returning, &results);
    code.ins().return_(&results);

    // The exception comes with the BASE of the instance that threw it.
    code.continue_in(landing);
    code.set_base(own_base);
    set_bridge(code, outer);
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

/// Calls a host function, as its type says.
fn call_host(
    code: &mut CodeBuilder<'_>,
    ty: TypeIndex,
    callee: Value,
    env: Value,
    arguments: &[Value],
) {
    stub::leave(code);
    let instance = code.host_load(offset_of!(HostContext, instance));
    let results = if code.func_type(ty).passes_in_registers() {
        call_with_registers(code, ty, callee, &[env, instance], arguments)
    } else {
        call_with_array(code, ty, callee, &[env, instance], arguments)
    };
    code.ins().return_(&results);
}

/// Calls a host function that gets and returns the bits of each value in a register.
fn call_with_registers(
    code: &mut CodeBuilder<'_>,
    ty: TypeIndex,
    callee: Value,
    context: &[Value],
    arguments: &[Value],
) -> Vec<Value> {
    let bits: Vec<Value> = arguments.iter().map(|value| to_bits(code, *value)).collect();
    let types = code.func_type(ty);
    let signature = code.import_signature(signature::register_signature(types));
    let call = code.call_indirect(signature, callee, &[context, &bits].concat());
    let results = code.results(call);
    results.iter().zip(types.results()).map(|(bits, ty)| from_bits(code, *bits, *ty)).collect()
}

/// Calls a host function that finds its arguments in an array, and leaves its results there.
fn call_with_array(
    code: &mut CodeBuilder<'_>,
    ty: TypeIndex,
    callee: Value,
    context: &[Value],
    arguments: &[Value],
) -> Vec<Value> {
    let types = code.func_type(ty);
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, array_bytes(types), 4);
    let slot = code.blocks().create_sized_stack_slot(slot);
    let array = code.ins().stack_addr(POINTER, slot, 0);
    let flags = code.trusted(Region::Cells);
    for ((_, offset), argument) in cells(types.params()).zip(arguments) {
        code.ins().store(flags, *argument, array, offset);
    }
    let signature = code.import_signature(signature::array_signature());
    code.call_indirect(signature, callee, &[context, &[array]].concat());
    cells(types.results()).map(|(ty, offset)| code.ins().load(ty, flags, array, offset)).collect()
}

/// The bits of a value in an integer register, as they would be in a cell.
fn to_bits(code: &mut CodeBuilder<'_>, value: Value) -> Value {
    let integer = match code.type_of(value) {
        types::F32 => code.ins().bitcast(types::I32, MemFlagsData::new(), value),
        types::F64 => code.ins().bitcast(types::I64, MemFlagsData::new(), value),
        _ => value,
    };
    if code.type_of(integer) == types::I32 {
        code.ins().uextend(types::I64, integer)
    } else {
        integer
    }
}

/// The value of type `ty` with these bits.
fn from_bits(code: &mut CodeBuilder<'_>, bits: Value, ty: ValType) -> Value {
    let ty = clif_type(ty);
    let integer = if ty.bits() == 32 { code.ins().ireduce(types::I32, bits) } else { bits };
    if ty.is_float() { code.ins().bitcast(ty, MemFlagsData::new(), integer) } else { integer }
}
