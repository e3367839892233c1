//! x86-64: entering and leaving guest code, interrupted registers, and the features of the machine.

mod cpu;
mod enter;
mod interrupted;
mod signal_frame;

pub use cpu::available_cpu_features;
pub(crate) use enter::{
    FAULTED, FINISHED, LEFT, WayBack, enter, leave, preserved_registers, resume,
};
pub(crate) use interrupted::Interrupted;
pub(crate) use signal_frame::SignalFrame;
