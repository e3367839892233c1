//! Thunks and stubs: code in no function of the module, between guest code and everything else.
//!
//! * an **import thunk** has the signature of an imported function and calls whatever the import
//!   was bound to; a **foreign thunk** does the same for a function known by its index;
//! * a **bridge** calls a function of another instance: with its BASE;
//! * an **array trampoline** lets the VM call guest code of any signature;
//! * a **resume** piece and the twin of an import continue a program that waits;
//! * a **stub** leaves guest code for a hostcall or with a trap; those of `memory.copy` and
//!   `memory.fill` do what is small themselves.

mod continued;
mod import;
mod memory_move;
mod stub;
mod trampoline;

pub(crate) use continued::{code_of_record, recorded_import, repeat, resume};
pub(crate) use import::{bridge, foreign, import};
pub(crate) use memory_move::{memory_copy, memory_fill};
pub(crate) use stub::{hostcall, trap};
pub(crate) use trampoline::trampoline;

use crate::emit::signature::clif_type;
use wfaas_abi::types::{CELL_BYTES, cells_of};
use wfaas_abi::{FuncType, ValType};

/// Where each value of a type list is in an argument array, in bytes: one cell a value, two for a
/// vector.
pub(crate) fn cells(types: &[ValType]) -> impl Iterator<Item = (cranelift_codegen::ir::Type, i32)> {
    types.iter().scan(0, |next, ty| {
        let offset = *next;
        *next += (cells_of(&[*ty]) * CELL_BYTES) as i32;
        Some((clif_type(*ty), offset))
    })
}

/// Bytes of an argument array.
fn array_bytes(ty: &FuncType) -> u32 {
    // Functions have at most 1000 parameters and 1000 results.
    (ty.array_cells() * CELL_BYTES) as u32
}
