//! Stubs: the ways out of guest code.

use crate::emit::builder::{CodeBuilder, Region};
use crate::emit::signature::{self, POINTER};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Inst, InstBuilder, Value};
use std::mem::offset_of;
use wfaas_abi::context::{HostContext, RuntimeContext};
use wfaas_abi::{Hostcall, TrapCode};

/// The stub of a hostcall: prepares to leave, calls it, and returns its result.
pub(crate) fn hostcall(code: &mut CodeBuilder<'_>, call: Hostcall, arguments: &[Value]) {
    leave(code);
    let call = call_host(code, call, arguments);
    let results = code.results(call);
    code.ins().return_(&results);
}

/// The stub of a trap. It does not check the stack: the VM's answer to a trap needs little of it.
pub(crate) fn trap(code: &mut CodeBuilder<'_>, trap: TrapCode) {
    note_exit(code);
    raise(code, trap);
}

/// Prepares for host code to run: note where the guest's frames begin, and see to
/// it that there is stack enough.
pub(super) fn leave(code: &mut CodeBuilder<'_>) {
    let runtime = note_exit(code);
    let flags = code.trusted(Region::Runtime);
    let limit = offset_of!(RuntimeContext, stack_limit) as i32;
    let limit = code.ins().load(POINTER, flags, runtime, limit);
    let stack = code.ins().get_stack_pointer(POINTER);
    let too_low = code.ins().icmp(IntCC::UnsignedLessThan, stack, limit);
    let overflow = code.cold_block();
    let enough = code.blocks().create_block();
    code.ins().brif(too_low, overflow, &[], enough, &[]);
    code.continue_in(overflow);
    raise(code, TrapCode::StackOverflow);
    code.continue_in(enough);
}

/// Writes this frame's pointer to the runtime context, where backtraces start; returns the address
/// of the runtime context.
fn note_exit(code: &mut CodeBuilder<'_>) -> Value {
    let runtime = code.host_load(offset_of!(HostContext, runtime));
    let flags = code.trusted(Region::Runtime);
    let frame = code.ins().get_frame_pointer(POINTER);
    code.ins().store(flags, frame, runtime, offset_of!(RuntimeContext, exit_fp) as i32);
    runtime
}

/// Raises a trap; ends the block.
fn raise(code: &mut CodeBuilder<'_>, trap: TrapCode) {
    let number = code.index(trap as u32);
    call_host(code, Hostcall::Raise, &[number]);
    code.never_reached();
}

pub(super) fn call_host(code: &mut CodeBuilder<'_>, call: Hostcall, arguments: &[Value]) -> Inst {
    let instance = code.host_load(offset_of!(HostContext, instance));
    let pointers = offset_of!(HostContext, hostcalls);
    let callee = code.host_load(pointers + call as usize * size_of::<u64>());
    let signature = code.import_signature(signature::hostcall_signature(call));
    code.call_indirect(signature, callee, &[&[instance], arguments].concat())
}
