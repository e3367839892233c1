//! `udp-socket` of `wasi:sockets/types@0.3`.

use super::preview2::datagrams::{self, Peer};
use super::preview2::{Kind, done, options, socket_address, socket_address_value, udp};
use super::{TYPES, ended, wait};
use crate::canonical::Value;
use crate::preview2::{Function, Host, Interface, Stop, args};
use crate::sockets::{Direction, Error, SocketOption};
use std::net::SocketAddr;

/// Functions that read or set an option.
macro_rules! option {
    ($function:ident, $option:ident, $kind:ident) => {
        |host, args| options::$function(host, args, udp::find, (SocketOption::$option, Kind::$kind))
    };
}

pub(in super::super) const UDP: Interface = Interface {
    name: TYPES,
    functions: &[
        Function { name: "[static]udp-socket.create", call: udp::create },
        Function { name: "[method]udp-socket.bind", call: bind },
        Function { name: "[method]udp-socket.connect", call: connect },
        Function { name: "[method]udp-socket.disconnect", call: disconnect },
        Function { name: "[method]udp-socket.send", call: send },
        Function { name: "[method]udp-socket.receive", call: receive },
        Function { name: "[method]udp-socket.get-local-address", call: udp::local_address },
        Function { name: "[method]udp-socket.get-remote-address", call: udp::remote_address },
        Function { name: "[method]udp-socket.get-address-family", call: udp::address_family },
        Function {
            name: "[method]udp-socket.get-unicast-hop-limit",
            call: option!(get, HopLimit, U8),
        },
        Function {
            name: "[method]udp-socket.set-unicast-hop-limit",
            call: option!(set, HopLimit, U8),
        },
        Function {
            name: "[method]udp-socket.get-receive-buffer-size",
            call: option!(get, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]udp-socket.set-receive-buffer-size",
            call: option!(set, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]udp-socket.get-send-buffer-size",
            call: option!(get, SendBuffer, U64),
        },
        Function {
            name: "[method]udp-socket.set-send-buffer-size",
            call: option!(set, SendBuffer, U64),
        },
    ],
};

fn bind(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket, local] = args(values)?;
    let local = socket_address(local)?;
    let socket = udp::get(host, socket)?;
    done(socket.bind(local).and_then(|()| socket.finish_bind()))
}

fn connect(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket, remote] = args(values)?;
    let remote = socket_address(remote)?;
    if let Err(error) = udp::get(host, socket)?.bind_if_unbound() {
        return done(Err(error));
    }
    done(udp::connect_to(host, socket, Some(remote))?)
}

/// The system connects a socket to another address, but takes no connection back.
fn disconnect(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket] = args(values)?;
    let is_connected = udp::get(host, socket)?.remote().is_some();
    done(Err(if is_connected { Error::NotSupported } else { Error::InvalidState }))
}

fn send(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket, data, remote] = args(values)?;
    let remote = remote.optional()?.map(socket_address).transpose()?;
    // The guest may run while the call waits: its bytes are copied before.
    let data = datagrams::copied(host, data)?;
    let bound = udp::get(host, socket)?.bind_if_unbound();
    let data = match bound.and(data) {
        Ok(data) => data,
        Err(error) => return done(Err(error)),
    };
    let peer = udp::get(host, socket)?.peer();
    send_when_ready(host, peer, data, remote)
}

/// Bytes of a datagram that waits, as a thing that the host keeps.
struct Waiting;

fn send_when_ready(
    host: &mut Host<'_, '_>,
    peer: Peer,
    data: Vec<u8>,
    remote: Option<SocketAddr>,
) -> Result<Value, Stop> {
    match datagrams::send_to(host, &peer, &data, remote) {
        Err(Error::WouldBlock) => {
            let socket = peer.socket.clone();
            // Counted until it goes on; that of a call which is cancelled counts to the end of the request.
            let kept = host.resources().insert_kept(Waiting, data.len())?;
            Err(wait(host, socket, Direction::Send, move |host| {
                host.resources().forget(kept)?;
                send_when_ready(host, peer, data, remote)
            }))
        }
        end => done(end),
    }
}

fn receive(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket] = args(values)?;
    let socket = udp::get(host, socket)?;
    match socket.check_bound() {
        Ok(()) => {
            let peer = socket.peer();
            receive_when_ready(host, peer)
        }
        Err(error) => Ok(ended(error)),
    }
}

fn receive_when_ready(host: &mut Host<'_, '_>, peer: Peer) -> Result<Value, Stop> {
    match datagrams::receive_one(host, &peer) {
        Ok(Some((data, from))) => {
            let parts = vec![Value::Bytes(data), socket_address_value(from)];
            Ok(Value::ok(Value::Record(parts)))
        }
        Ok(None) | Err(Error::WouldBlock) => receive_later(host, peer),
        Err(error) => Ok(ended(error)),
    }
}

fn receive_later(host: &mut Host<'_, '_>, peer: Peer) -> Result<Value, Stop> {
    let socket = peer.socket.clone();
    Err(wait(host, socket, Direction::Receive, move |host| receive_when_ready(host, peer)))
}
