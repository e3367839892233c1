//! `wasi:sockets`: connections and datagrams to addresses that the guest may talk to.
//!
//! Without a [`Network`](crate::sockets::Network) of the instance, every socket and every look-up is `access-denied`. Nobody
//! connects to a guest: listening is `access-denied`, and a socket may be bound to no port of its own choice.

mod address;
pub(crate) mod datagrams;
mod lookup;
pub(crate) mod options;
mod sending;
pub(crate) mod tcp;
pub(crate) mod udp;

use super::error::IoError;
use super::host::{Function, Host, Interface, Stop};
use crate::canonical::Value;
use crate::sockets::{self, Error, Family, Socket, Transport};
use std::any::Any;
use std::net::SocketAddr;
use std::task::{Context, Poll};

pub(crate) use address::{address_value, socket_address, socket_address_value};
pub(super) use lookup::LOOKUP;
pub(crate) use lookup::look_up;
pub(crate) use options::Kind;
pub(crate) use sending::Sending;
pub(super) use tcp::TCP;
pub(super) use udp::UDP;

pub(super) const INSTANCE_NETWORK: Interface = Interface {
    name: "wasi:sockets/instance-network@0.2",
    functions: &[Function { name: "instance-network", call: instance_network }],
};

pub(super) const NETWORK: Interface = Interface {
    name: "wasi:sockets/network@0.2",
    functions: &[Function { name: "network-error-code", call: network_error_code }],
};

pub(super) const TCP_CREATE: Interface = Interface {
    name: "wasi:sockets/tcp-create-socket@0.2",
    functions: &[Function { name: "create-tcp-socket", call: tcp::create }],
};

pub(super) const UDP_CREATE: Interface = Interface {
    name: "wasi:sockets/udp-create-socket@0.2",
    functions: &[Function { name: "create-udp-socket", call: udp::create }],
};

/// Bytes that a socket counts as.
pub(crate) const SOCKET_BYTES: usize = 4096;

/// The thing behind a `network`: there is one for each instance.
struct InstanceNetwork;

fn instance_network(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    Ok(Value::Handle(host.resources().insert(InstanceNetwork)?))
}

fn network_error_code(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [error] = super::args(args)?;
    let error = host.resources().get::<IoError>(error.handle()?)?;
    Ok(Value::option(error.socket.map(code)))
}

/// Checks the handle of a `network`.
fn check_network(host: &mut Host<'_, '_>, network: &Value) -> Result<(), Stop> {
    host.resources().get::<InstanceNetwork>(network.handle()?)?;
    Ok(())
}

/// `error-code`
fn code(error: Error) -> Value {
    Value::case(error as u32)
}

/// The result of a function that ends so.
fn ended(result: sockets::Result<Value>) -> Result<Value, Stop> {
    Ok(result.map_or_else(|error| Value::err(code(error)), Value::ok))
}

/// The same of one that has no result but errors.
pub(crate) fn done(result: sockets::Result<()>) -> Result<Value, Stop> {
    Ok(result.map_or_else(|error| Value::err(code(error)), |()| Value::done()))
}

/// Whether the guest may talk to an address.
fn allows(host: &mut Host<'_, '_>, transport: Transport, address: SocketAddr) -> bool {
    host.wasi().network().is_some_and(|network| network.allows(transport, address))
}

/// Opens a socket.
fn open(
    host: &mut Host<'_, '_>,
    transport: Transport,
    family: Family,
) -> sockets::Result<Box<dyn Socket>> {
    host.wasi().network().ok_or(Error::AccessDenied)?.open(transport, family)
}

/// Ready when a thing of these interfaces is; `None` if it is none of them.
pub(super) fn poll(thing: &mut (dyn Any + Send), context: &mut Context<'_>) -> Option<Poll<()>> {
    if let Some(socket) = thing.downcast_ref::<tcp::TcpSocket>() {
        return Some(socket.poll(context));
    }
    if let Some(stream) = thing.downcast_ref::<datagrams::Incoming>() {
        return Some(stream.poll(context));
    }
    if let Some(stream) = thing.downcast_ref::<datagrams::Outgoing>() {
        return Some(stream.poll(context));
    }
    thing.downcast_mut::<lookup::AddressStream>().map(|stream| stream.poll(context))
}
