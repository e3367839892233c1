//! Signatures: machine types and calling conventions of everything that calls or is called.

use cranelift_codegen::ir::{self, AbiParam, Signature, types};
use cranelift_codegen::isa::CallConv;
use wfaas_abi::hostcall::HostcallType;
use wfaas_abi::{FuncType, Hostcall, ValType};

/// The type of addresses, and of references.
pub(crate) const POINTER: ir::Type = types::I64;

/// The calling convention of everything that guest code calls directly.
const GUEST: CallConv = CallConv::Tail;

/// The calling convention of the VM's functions.
const HOST: CallConv = CallConv::SystemV;

/// The machine type of values of type `ty`.
pub(crate) fn clif_type(ty: ValType) -> ir::Type {
    match ty {
        ValType::I32 => types::I32,
        ValType::I64 | ValType::Ref(_) => types::I64,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
        ValType::V128 => types::I8X16,
    }
}

fn params(types: impl IntoIterator<Item = ir::Type>) -> Vec<AbiParam> {
    types.into_iter().map(AbiParam::new).collect()
}

/// The signature of a guest function, or of the thunk that stands for it.
pub(crate) fn guest_signature(ty: &FuncType) -> Signature {
    Signature {
        params: params(ty.params().iter().map(|ty| clif_type(*ty))),
        returns: params(ty.results().iter().map(|ty| clif_type(*ty))),
        call_conv: GUEST,
    }
}

/// The signature of code that goes on with a record, at its address, and has these results.
pub(crate) fn continued_signature(results: &[ir::Type]) -> Signature {
    let returns = params(results.iter().copied());
    Signature { params: params([POINTER]), returns, call_conv: GUEST }
}

/// The signature of the thunk that calls a foreign function: its index, then the arguments.
pub(crate) fn foreign_signature(ty: &FuncType) -> Signature {
    let mut signature = guest_signature(ty);
    signature.params.insert(0, AbiParam::new(types::I32));
    signature
}

/// The signature of a bridge: the address of a `FuncImport`, then the arguments.
pub(crate) fn bridge_signature(ty: &FuncType) -> Signature {
    let mut signature = guest_signature(ty);
    signature.params.insert(0, AbiParam::new(POINTER));
    signature
}

fn hostcall_type(ty: HostcallType) -> ir::Type {
    match ty {
        HostcallType::I32 => types::I32,
        HostcallType::I64 => types::I64,
    }
}

/// The signature of a hostcall's stub.
pub(crate) fn stub_signature(call: Hostcall) -> Signature {
    Signature {
        params: params(call.params().iter().map(|ty| hostcall_type(*ty))),
        returns: params(call.result().map(hostcall_type)),
        call_conv: GUEST,
    }
}

/// The signature of a hostcall: the instance, then the arguments of the stub.
pub(crate) fn hostcall_signature(call: Hostcall) -> Signature {
    let mut signature = stub_signature(call);
    signature.params.insert(0, AbiParam::new(POINTER));
    signature.call_conv = HOST;
    signature
}

/// The signature of a trap stub.
pub(crate) fn trap_signature() -> Signature {
    Signature::new(GUEST)
}

/// The same for its callers. Registers are all kept, since the stub does not return: the register allocator would
/// reserve each that a call may change.
pub(crate) fn trap_call_signature() -> Signature {
    Signature::new(CallConv::PreserveAll)
}

/// The signature of the stub of `memory.copy`: where to, where from, and how much, as 64 bits.
pub(crate) fn memory_copy_signature() -> Signature {
    Signature { params: params([types::I64; 3]), returns: Vec::new(), call_conv: GUEST }
}

/// The signature of the stub of `memory.fill`: where to, the value, and how much.
pub(crate) fn memory_fill_signature() -> Signature {
    let types = [types::I64, types::I32, types::I64];
    Signature { params: params(types), returns: Vec::new(), call_conv: GUEST }
}

/// `extern "C" fn(env, instance, cells)`: a host function with its arguments in an array.
pub(crate) fn array_signature() -> Signature {
    Signature { params: params([POINTER; 3]), returns: Vec::new(), call_conv: HOST }
}

/// `extern "C" fn(env, instance, a0, ...) -> result`: a host function with its arguments in
/// registers.
pub(crate) fn register_signature(ty: &FuncType) -> Signature {
    let bits = |values: &[ValType]| params(values.iter().map(|_| types::I64));
    let mut signature =
        Signature { params: params([POINTER; 2]), returns: bits(ty.results()), call_conv: HOST };
    signature.params.extend(bits(ty.params()));
    signature
}

/// `extern "C" fn(code, cells)`: an array trampoline.
pub(crate) fn trampoline_signature() -> Signature {
    Signature { params: params([POINTER; 2]), returns: Vec::new(), call_conv: HOST }
}
