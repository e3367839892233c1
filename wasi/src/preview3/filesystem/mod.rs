//! `wasi:filesystem@0.3`: files as streams, and all else as in 0.2, whose results are [adapted](adapter).

mod entries;
mod reading;
mod writing;

use crate::canonical::Value;
use crate::files::{self, Files, WriteAt};
use crate::preview2::filesystem;
use crate::preview2::{Function, Host, Interface, Stop};
use std::sync::Arc;
use wfaas_vm::component::{FunctionName, is_version_of};

const TYPES_NAME: &str = "wasi:filesystem/types@0.3";

pub(super) const PREOPENS: Interface =
    Interface { name: "wasi:filesystem/preopens@0.3", functions: filesystem::PREOPENS.functions };

pub(super) const STREAMS: Interface = Interface {
    name: TYPES_NAME,
    functions: &[
        Function { name: "[method]descriptor.read-via-stream", call: reading::read_via_stream },
        Function {
            name: "[method]descriptor.write-via-stream",
            call: |host, values| {
                let [descriptor, data, offset] = crate::preview2::args(values)?;
                writing::write(host, descriptor, data, WriteAt::Offset(offset.u64()?))
            },
        },
        Function {
            name: "[method]descriptor.append-via-stream",
            call: |host, values| {
                let [descriptor, data] = crate::preview2::args(values)?;
                writing::write(host, descriptor, data, WriteAt::End)
            },
        },
        Function { name: "[method]descriptor.read-directory", call: entries::read_directory },
    ],
};

/// The other functions: those of 0.2. [`STREAMS`] comes before them.
pub(super) const TYPES: Interface =
    Interface { name: TYPES_NAME, functions: filesystem::TYPES.functions };

/// Makes a result of 0.3 of one of 0.2.
pub(crate) type Adapter = fn(Value) -> Value;

/// The adapter of a function's results, if it needs one.
pub(in super::super) fn adapter(name: &FunctionName) -> Option<Adapter> {
    if !is_version_of(&name.interface, TYPES_NAME) {
        return None;
    }
    let method = name.name.strip_prefix("[method]descriptor.")?;
    match method {
        "read-via-stream" | "write-via-stream" | "append-via-stream" | "read-directory"
        | "is-same-object" => None,
        "get-type" => Some(|value| result(value, file_type)),
        "stat" | "stat-at" => Some(|value| result(value, stat)),
        _ => Some(|value| result(value, |value| value)),
    }
}

/// A result with these adapted parts.
fn result(value: Value, ok: fn(Value) -> Value) -> Value {
    match value {
        Value::Case(0, Some(value)) => Value::ok(ok(*value)),
        Value::Case(1, Some(code)) => Value::err(error_code(*code)),
        other => other,
    }
}

/// A case that has nothing to say: `other(none)`.
fn other(case: u32) -> Value {
    Value::Case(case, Some(Box::new(Value::none())))
}

/// `error-code`: 0.2 has `would-block` behind `access`, and no `other`.
fn error_code(value: Value) -> Value {
    const OTHER: u32 = 36;
    match value {
        Value::Case(0, None) => Value::case(0),
        Value::Case(1, None) => other(OTHER),
        Value::Case(number, None) => Value::case(number - 1),
        value => value,
    }
}

/// `descriptor-type`: 0.2 has `unknown` first, and no `other`.
fn file_type(value: Value) -> Value {
    const OTHER: u32 = 7;
    match value {
        Value::Case(0, None) => other(OTHER),
        Value::Case(number, None) => Value::case(number - 1),
        value => value,
    }
}

/// `descriptor-stat`: its type, and times whose seconds have a sign.
fn stat(value: Value) -> Value {
    let instant = |time: Value| match time {
        Value::Record(mut parts) => {
            if let Some(Value::U64(seconds)) = parts.first() {
                parts[0] = Value::S64(i64::try_from(*seconds).unwrap_or(i64::MAX));
            }
            Value::Record(parts)
        }
        other => other,
    };
    let adapt = |(place, part)| match (place, part) {
        (0, kind) => file_type(kind),
        (3.., Value::Case(1, Some(time))) => Value::some(instant(*time)),
        (_, part) => part,
    };
    match value {
        Value::Record(parts) => Value::Record(parts.into_iter().enumerate().map(adapt).collect()),
        other => other,
    }
}

/// The result of a stream's future that ends so.
fn ended(error: files::Error) -> Value {
    result(filesystem::failed(error), |value| value)
}

/// The files of a guest, with the pool that does what may block.
fn files(host: &mut Host<'_, '_>) -> Option<Arc<Files>> {
    host.wasi().files().cloned()
}

/// A stream that was not begun, and a future of the reason.
fn refused(host: &mut Host<'_, '_>, error: files::Error) -> Result<Value, Stop> {
    let resources = host.resources();
    let (future, promise) = resources.future(ended(error))?;
    drop(promise);
    Ok(Value::Handle(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(method: &str, value: Value) -> Value {
        let name = format!("[method]descriptor.{method}");
        let interface = "wasi:filesystem/types@0.3.0".to_owned();
        adapter(&FunctionName { interface, name }).expect("an adapter")(value)
    }

    #[test]
    fn results_of_0_2_become_those_of_0_3() {
        let failed = |error| filesystem::failed(error);
        let case = |number| Value::err(Value::case(number));
        assert_eq!(adapted("sync", Value::done()), Value::done());
        assert_eq!(adapted("sync", failed(files::Error::Access)), case(0));
        assert_eq!(adapted("open-at", failed(files::Error::NotFound)), case(19));
        assert_eq!(adapted("rename-at", failed(files::Error::CrossDevice)), case(35));
        assert_eq!(adapted("stat", failed(files::Error::Again)), Value::err(other(36)));
        assert_eq!(adapted("get-type", Value::ok(Value::case(6))), Value::ok(Value::case(5)));
        assert_eq!(adapted("get-type", Value::ok(Value::case(0))), Value::ok(other(7)));
        let time = |seconds| Value::some(Value::Record(vec![seconds, Value::U32(5)]));
        let stat = |kind, seconds: Value| {
            let numbers = [Value::U64(1), Value::U64(2)];
            let times = [time(seconds.clone()), time(seconds), Value::none()];
            Value::ok(Value::Record(
                [vec![Value::case(kind)], numbers.to_vec(), times.to_vec()].concat(),
            ))
        };
        assert_eq!(adapted("stat-at", stat(3, Value::U64(9))), stat(2, Value::S64(9)));
    }
}
