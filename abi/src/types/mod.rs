//! Value and function types.

mod function;
mod group;
mod value;

pub use function::{FuncType, REGISTER_PARAMS, TypeHash, cells_of};
pub use group::{GroupMember, GroupValType};
pub use value::{HeapType, RefType, ValType};
