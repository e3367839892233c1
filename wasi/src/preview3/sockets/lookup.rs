//! `wasi:sockets/ip-name-lookup@0.3`: addresses of names.

use super::preview2::{address_value, look_up};
use crate::canonical::Value;
use crate::preview2::{Function, Host, Interface, Stop, args};
use crate::sockets::{Error, Result as SocketResult};
use std::net::IpAddr;

pub(in super::super) const LOOKUP: Interface = Interface {
    name: "wasi:sockets/ip-name-lookup@0.3",
    functions: &[Function { name: "resolve-addresses", call: resolve_addresses }],
};

fn resolve_addresses(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [name] = args(values)?;
    match look_up(host, name.text()?) {
        Ok(found) => Err(host.wait(found, |_, found| Ok(result(found)))),
        Err(error) => Ok(result(Err(error))),
    }
}

fn result(found: SocketResult<Vec<IpAddr>>) -> Value {
    match found {
        Ok(addresses) => Value::ok(Value::List(addresses.into_iter().map(address_value).collect())),
        Err(Error::AccessDenied) => Value::err(Value::case(0)),
        Err(Error::InvalidArgument) => Value::err(Value::case(1)),
        Err(Error::NameUnresolvable) => Value::err(Value::case(2)),
        Err(Error::TemporaryResolverFailure) => Value::err(Value::case(3)),
        Err(Error::PermanentResolverFailure) => Value::err(Value::case(4)),
        Err(_) => Value::err(Value::Case(5, Some(Box::new(Value::none())))),
    }
}
