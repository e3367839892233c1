//! Value and function types.

mod function;
mod group;
mod value;

pub use function::{CELL_BYTES, FuncType, REGISTER_PARAMS, TypeHash, cells_of};
pub use group::{GroupMember, GroupValType};
pub(crate) use value::TYPE_CODES;
pub use value::{HeapType, RefType, ValType};
