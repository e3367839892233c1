//! x86-64.

pub(crate) mod prologue;
pub(crate) mod relax;
pub(crate) mod unwind;
