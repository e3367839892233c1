//! Where a guest's streams come from and go to.
//!
//! A server gives a guest memory and the log; a command line gives it the streams of the process.
//! Those are read and written without buffers of our own.

mod input;
mod log;
mod output;

pub use input::Input;
pub use log::LogEvent;
pub use output::{Output, OutputLimit};
pub(crate) use output::{Shared, WriteError, Written};
