//! `wasi:io/error`: an error of a stream, as text.

use super::host::{Function, Host, Interface, Stop};
use crate::canonical::Value;
use crate::{files, sockets};

pub(super) const ERROR: Interface = Interface {
    name: "wasi:io/error@0.2",
    functions: &[Function { name: "[method]error.to-debug-string", call: to_debug_string }],
};

/// An error of a stream: the last operation failed.
#[derive(Debug)]
pub struct IoError {
    /// What happened.
    pub message: String,
    /// The error of a file's stream.
    pub(crate) file: Option<files::Error>,
    /// The error of a socket's stream.
    pub(crate) socket: Option<sockets::Error>,
}

impl IoError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> IoError {
        IoError { message: message.into(), file: None, socket: None }
    }
}

impl From<files::Error> for IoError {
    fn from(error: files::Error) -> IoError {
        IoError { file: Some(error), ..IoError::new(error.to_string()) }
    }
}

impl From<sockets::Error> for IoError {
    fn from(error: sockets::Error) -> IoError {
        IoError { socket: Some(error), ..IoError::new(error.to_string()) }
    }
}

/// `stream-error`: the case of an operation that failed.
pub(super) fn last_operation_failed(
    host: &mut Host<'_, '_>,
    error: IoError,
) -> Result<Value, Stop> {
    if error.file == Some(files::Error::Unfinished) {
        return Err(Stop::turn());
    }
    let handle = host.resources().insert(error)?;
    Ok(Value::err(Value::Case(0, Some(Box::new(Value::Handle(handle))))))
}

/// `stream-error`: the case of a stream that has ended.
pub(super) fn closed() -> Value {
    Value::err(Value::case(1))
}

fn to_debug_string(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [error] = super::args(args)?;
    let error = host.resources().get::<IoError>(error.handle()?)?;
    Ok(Value::String(error.message.clone()))
}
