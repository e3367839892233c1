//! Knowledge about the values of a function.

pub(crate) mod branch;
pub(crate) mod induction;
pub(crate) mod interval;
pub(crate) mod query;
pub(crate) mod scev;
pub(crate) mod scoped;
pub(crate) mod value;
