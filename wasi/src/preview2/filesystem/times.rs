//! Setting of times.

use super::super::args;
use super::super::host::{Host, Stop};
use super::at::{at_path, follow};
use super::{done, get, on_directory, on_file};
use crate::canonical::{Value, Violation};
use crate::files::{Directory, Node, SetTime, SetTimes, Timestamp};

/// `new-timestamp`
fn time(value: &Value) -> Result<SetTime, Violation> {
    match value.variant()? {
        (0, None) => Ok(SetTime::Keep),
        (1, None) => Ok(SetTime::Now),
        (2, Some(datetime)) => {
            let [seconds, nanoseconds] = datetime.record()?;
            let seconds = match seconds {
                Value::S64(seconds) => *seconds, // of 0.3
                seconds => i64::try_from(seconds.u64()?).unwrap_or(i64::MAX),
            };
            Ok(SetTime::To(Timestamp::new(seconds, nanoseconds.u32()?)))
        }
        _ => Err(Value::mismatch()),
    }
}

pub(super) fn set_times(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, accessed, modified] = args(values)?;
    let times = SetTimes { accessed: time(accessed)?, modified: time(modified)? };
    match get(host, descriptor)?.node.clone() {
        Node::File(file) => on_file(host, Ok(file), move |file| file.set_times(times), done),
        Node::Directory(directory) => {
            on_directory(host, Ok(directory), move |directory| directory.set_times(times), done)
        }
    }
}

pub(super) fn set_times_at(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, flags, path, accessed, modified] = args(values)?;
    let follow = follow(flags)?;
    let times = SetTimes { accessed: time(accessed)?, modified: time(modified)? };
    let set =
        move |directory: &dyn Directory, path: &str| directory.set_times_at(path, follow, times);
    at_path(host, descriptor, path, set, done)
}
