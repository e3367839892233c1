//! Trap codes of the VM, as numbers of the code generator.

use cranelift_codegen::ir;
use wfaas_abi::TrapCode;

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
