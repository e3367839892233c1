//! x86-64: settings of the code generator ([`isa`], [`cpu`]), its output ([`collect`], [`prologue`]),
//! unwind tables ([`unwind`]), and the layout of machine code ([`relax`]).

pub(crate) mod collect;
pub(crate) mod cpu;
pub(crate) mod isa;
pub(crate) mod prologue;
pub(crate) mod relax;
pub(crate) mod unwind;
