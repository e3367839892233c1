//! Processors: the few lines that are written for one instruction set. Everything else of the crate
//! is the same on all of them.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::available_cpu_features;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{
    ContinuedHostcall, FAULTED, FINISHED, Interrupted, LEFT, Landing, PREEMPTED, Place,
    PreemptLanding, SUSPENDED, SaveArea, SignalFrame, WaitEnv, WaitHostcall, WayBack, enter, leave,
    preserved_registers, resume, resume_preempted, resume_suspended, ticks, ticks_are_steady,
    wait_hostcall, wait_with_array, wait_with_registers,
};
