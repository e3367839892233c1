//! Options of sockets, which are numbers to the host and numbers, times or switches to the guest.

use super::super::host::{Host, Stop};
use super::{code, done};
use crate::canonical::Value;
use crate::sockets::{Error, Socket, SocketOption};

/// The type that the guest knows an option by.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Switch,
    U8,
    U32,
    U64,
}

/// Finds the socket of a handle.
pub(crate) type Find = for<'a> fn(&'a mut Host<'_, '_>, &Value) -> Result<&'a dyn Socket, Stop>;

pub(crate) fn get(
    host: &mut Host<'_, '_>,
    args: &[Value],
    find: Find,
    (option, kind): (SocketOption, Kind),
) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    let number = match find(host, socket)?.option(option) {
        Ok(number) => number,
        Err(error) => return Ok(Value::err(code(error))),
    };
    let value = match kind {
        Kind::Switch => Value::Bool(number != 0),
        Kind::U8 => Value::U8(u8::try_from(number).unwrap_or(u8::MAX)),
        Kind::U32 => Value::U32(u32::try_from(number).unwrap_or(u32::MAX)),
        Kind::U64 => Value::U64(number),
    };
    Ok(Value::ok(value))
}

pub(crate) fn set(
    host: &mut Host<'_, '_>,
    args: &[Value],
    find: Find,
    (option, kind): (SocketOption, Kind),
) -> Result<Value, Stop> {
    let [socket, value] = super::super::args(args)?;
    let number = match kind {
        Kind::Switch => u64::from(value.bool()?),
        Kind::U8 => u64::from(value.u8()?),
        Kind::U32 => u64::from(value.u32()?),
        Kind::U64 => value.u64()?,
    };
    let socket = find(host, socket)?;
    match (kind, number) {
        (Kind::Switch, _) | (_, 1..) => done(socket.set_option(option, number)),
        _ => done(Err(Error::InvalidArgument)),
    }
}
