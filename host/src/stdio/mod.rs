//! The standard streams of a guest: where stdin comes from, where stdout and stderr go.
//!
//! A gateway gives a guest buffers and the log; `run` gives it the streams of the process. Those
//! are read and written without buffers of our own, by system calls that a deadline interrupts.

mod input;
mod log;
mod output;

pub use input::Input;
pub use log::LogLines;
pub use output::{Output, OutputLimit, WriteError};
