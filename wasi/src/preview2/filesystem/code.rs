//! `error-code` of `wasi:filesystem`.

use super::super::host::{Host, Stop};
use crate::canonical::Value;
use crate::files::Error;
use crate::preview2::IoError;

/// The number of an error.
fn number(error: Error) -> u32 {
    match error {
        Error::Access => 0,
        Error::Again | Error::Unfinished => 1,
        Error::BadDescriptor => 3,
        Error::Busy => 4,
        Error::Quota => 6,
        Error::Exists => 7,
        Error::TooBig => 8,
        Error::IllegalName => 9,
        Error::Interrupted => 11,
        Error::Invalid => 12,
        Error::Io | Error::Stale | Error::Changed => 13,
        Error::IsDirectory => 14,
        Error::Loop => 15,
        Error::TooManyLinks => 16,
        Error::NameTooLong => 18,
        Error::NoDevice => 19,
        Error::NotFound => 20,
        Error::NoMemory | Error::TooManyOpen => 22,
        Error::NoSpace => 23,
        Error::NotDirectory => 24,
        Error::NotEmpty => 25,
        Error::NotSupported => 27,
        Error::Overflow => 30,
        Error::NotPermitted | Error::Escapes => 31,
        Error::Pipe => 32,
        Error::ReadOnly => 33,
        Error::TextBusy => 35,
        Error::CrossDevice => 36,
    }
}

/// The result of a function that failed.
pub(crate) fn failed(error: Error) -> Value {
    Value::err(Value::case(number(error)))
}

pub(super) fn filesystem_error_code(
    host: &mut Host<'_, '_>,
    args: &[Value],
) -> Result<Value, Stop> {
    let [error] = super::super::args(args)?;
    let error = host.resources().get::<IoError>(error.handle()?)?;
    Ok(Value::option(error.file.map(|error| Value::case(number(error)))))
}
