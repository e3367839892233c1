//! Where a guest's streams come from and go to.
//!
//! A server gives a guest memory and the log; a command line gives it the streams of the process.
//! Those are read and written without buffers of our own.

mod input;
mod log;
mod output;

pub(crate) use input::ReadError;
pub use input::{ByteStream, Input};
pub use log::LogEvent;
pub use output::{ByteSink, Output, OutputLimit, SharedSink};
pub(crate) use output::{Refused, Shared, WriteError, Written};
