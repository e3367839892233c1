//! `wasi:sockets@0.3`: connections as streams; options and addresses as in 0.2, whose errors are [adapted](adapter).

mod lookup;
mod tcp;
mod udp;

use crate::canonical::Value;
use crate::preview2::{Host, Stop, sockets as preview2};
use crate::sockets::{Direction, Error, Socket};
use std::future::poll_fn;
use std::sync::Arc;
use wfaas_vm::component::{FunctionName, is_version_of};

pub(super) use lookup::LOOKUP;
pub(super) use tcp::TCP;
pub(super) use udp::UDP;

use super::filesystem::Adapter;

const TYPES: &str = "wasi:sockets/types@0.3";

/// The adapter of a function's results, if it needs one.
pub(super) fn adapter(name: &FunctionName) -> Option<Adapter> {
    let is_adapted = is_version_of(&name.interface, TYPES)
        && !name.name.ends_with(".receive")
        && !name.name.ends_with("tcp-socket.send");
    is_adapted.then_some(|value| match value {
        Value::Case(1, Some(code)) => Value::err(error_code(*code)),
        other => other,
    })
}

/// `error-code` of 0.3: that of 0.2 without the cases of operations that are finished later.
fn error_code(value: Value) -> Value {
    let Value::Case(number, None) = value else { return value };
    const CODES: [(Error, u32); 13] = [
        (Error::AccessDenied, 0),
        (Error::NotSupported, 1),
        (Error::InvalidArgument, 2),
        (Error::OutOfMemory, 3),
        (Error::Timeout, 4),
        (Error::InvalidState, 5),
        (Error::AddressNotBindable, 6),
        (Error::AddressInUse, 7),
        (Error::RemoteUnreachable, 8),
        (Error::ConnectionRefused, 9),
        (Error::ConnectionReset, 11),
        (Error::ConnectionAborted, 12),
        (Error::DatagramTooLarge, 13),
    ];
    const OTHER: u32 = 14;
    let found = CODES.iter().find(|(error, _)| *error as u32 == number);
    match found {
        Some((_, number)) => Value::case(*number),
        None => Value::Case(OTHER, Some(Box::new(Value::none()))),
    }
}

/// The result of a stream's future that ends so.
fn ended(error: Error) -> Value {
    Value::err(error_code(Value::case(error as u32)))
}

/// Waits until a socket is ready, then goes on with `then`.
fn wait(
    host: &mut Host<'_, '_>,
    socket: Arc<dyn Socket>,
    direction: Direction,
    then: impl FnOnce(&mut Host<'_, '_>) -> Result<Value, Stop> + Send + 'static,
) -> Stop {
    let ready = poll_fn(move |context| socket.poll_ready(direction, context));
    host.wait(ready, move |host, ()| then(host))
}
