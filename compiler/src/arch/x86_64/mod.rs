//! x86-64.

pub(crate) mod collect;
pub(crate) mod cpu;
pub(crate) mod isa;
pub(crate) mod prologue;
pub(crate) mod relax;
pub(crate) mod unwind;
