//! The target machine: code generator settings, calling conventions, machine types.

use crate::{CompileError, OptLevel, Options};
use cranelift_codegen::ir::{self, AbiParam, Signature, types};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use wfaas_abi::cpu::CPU_FEATURES;
use wfaas_abi::hostcall::HostcallType;
use wfaas_abi::{FuncType, Hostcall, TrapCode, ValType};

/// The type of addresses, and of references.
pub(crate) const POINTER: ir::Type = types::I64;

/// How registers are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allocator {
    /// Well: for functions of a usual size.
    Thorough,
    /// In time proportional to the function.
    Linear,
}

/// The code generator for these options.
pub(crate) fn isa(
    options: &Options<'_>,
    allocator: Allocator,
) -> Result<OwnedTargetIsa, CompileError> {
    // Without these, rounding and shuffling would be calls of library functions.
    for needed in ["ssse3", "sse4.1"] {
        if !options.cpu.names().contains(&needed) {
            return Err(CompileError::CpuTooOld(needed));
        }
    }
    build_isa(options, allocator)
        .map_err(|message| CompileError::Internal(format!("settings: {message}")))
}

fn build_isa(options: &Options<'_>, allocator: Allocator) -> Result<OwnedTargetIsa, String> {
    let allocator = match allocator {
        Allocator::Thorough => "backtracking",
        Allocator::Linear => "single_pass",
    };
    let opt_level = match options.opt {
        OptLevel::Speed => "speed",
        OptLevel::Fast => "none",
    };
    let mut shared = settings::builder();
    for (name, value) in [
        ("opt_level", opt_level),
        ("regalloc_algorithm", allocator),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("enable_alias_analysis", "true"),
        // This is about reaching symbols through a global offset table; there is none. With all
        // pieces colocated, the code is position independent all the same.
        ("is_pic", "false"),
        ("enable_pinned_reg", "true"),       // BASE lives there
        ("preserve_frame_pointers", "true"), // backtraces follow them
        ("unwind_info", "true"),
        ("machine_code_cfg_info", "true"), // tables in the code end where blocks start
        ("enable_multi_ret_implicit_sret", "true"),
        ("enable_probestack", "true"), // a large frame must not jump over the guard page
        ("probestack_strategy", "inline"),
        ("probestack_size_log2", "12"),
        ("enable_table_access_spectre_mitigation", "true"),
    ] {
        shared.set(name, value).map_err(|error| format!("{name}: {error}"))?;
    }
    let mut builder = isa::lookup_by_name("x86_64-unknown-linux").map_err(|e| e.to_string())?;
    for (_, bit, setting) in CPU_FEATURES {
        let value = if options.cpu.0 & bit != 0 { "true" } else { "false" };
        builder.set(setting, value).map_err(|error| format!("{setting}: {error}"))?;
    }
    builder.finish(settings::Flags::new(shared)).map_err(|error| error.to_string())
}

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

/// The signature of a hostcall: the instance, then what the stub takes.
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

/// The code generator's trap code that stands for `code`.
pub(crate) fn clif_trap(code: TrapCode) -> ir::TrapCode {
    // Codes are small numbers; those the code generator reserves for itself are at the top.
    ir::TrapCode::unwrap_user(code as u8)
}

/// The trap code that the code generator's `code` stands for.
pub(crate) fn trap_code(code: ir::TrapCode) -> Option<TrapCode> {
    match code {
        ir::TrapCode::STACK_OVERFLOW => Some(TrapCode::StackOverflow),
        ir::TrapCode::HEAP_OUT_OF_BOUNDS => Some(TrapCode::MemoryOutOfBounds),
        ir::TrapCode::INTEGER_OVERFLOW => Some(TrapCode::IntegerOverflow),
        ir::TrapCode::INTEGER_DIVISION_BY_ZERO => Some(TrapCode::IntegerDivideByZero),
        ir::TrapCode::BAD_CONVERSION_TO_INTEGER => Some(TrapCode::InvalidConversionToInteger),
        user => TrapCode::from_u8(user.as_raw().get()),
    }
}
