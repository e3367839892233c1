//! x86-64: entering and leaving guest code, interrupted registers, and the features of the machine.

mod cpu;
mod enter;
mod interrupted;
mod preempt;
mod save_area;
mod signal_frame;
mod suspend;
mod ticks;

pub use cpu::available_cpu_features;
pub(crate) use enter::{
    FAULTED, FINISHED, LEFT, PREEMPTED, SUSPENDED, WayBack, enter, leave, preserved_registers,
    resume,
};
pub(crate) use interrupted::Interrupted;
pub(crate) use preempt::{ContinuedHostcall, PreemptLanding, resume_preempted};
pub(crate) use save_area::{Place, SaveArea};
pub(crate) use signal_frame::SignalFrame;
pub(crate) use suspend::{
    Landing, WaitEnv, WaitHostcall, resume_suspended, wait_hostcall, wait_with_array,
    wait_with_registers,
};
pub(crate) use ticks::{ticks, ticks_are_steady};
