//! `wasi:sockets/udp`: sockets for datagrams. Their streams are in `datagrams.rs`.

use super::super::Pollable;
use super::super::host::{Function, Host, Interface, Stop};
use super::address::{self, check_local, check_remote, socket_address, socket_address_value};
use super::datagrams::{self, Incoming, Outgoing, Peer};
use super::options::{self, Kind};
use super::{SOCKET_BYTES, allows, check_network, code, done, ended, open};
use crate::canonical::Value;
use crate::sockets::{self, Error, Family, Socket, SocketOption, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Functions that read or set an option.
macro_rules! option {
    ($function:ident, $option:ident, $kind:ident) => {
        |host, args| options::$function(host, args, find, (SocketOption::$option, Kind::$kind))
    };
}

pub(in super::super) const UDP: Interface = Interface {
    name: "wasi:sockets/udp@0.2",
    functions: &[
        Function { name: "[method]udp-socket.start-bind", call: start_bind },
        Function { name: "[method]udp-socket.finish-bind", call: finish_bind },
        Function { name: "[method]udp-socket.stream", call: stream },
        Function { name: "[method]udp-socket.local-address", call: local_address },
        Function { name: "[method]udp-socket.remote-address", call: remote_address },
        Function { name: "[method]udp-socket.address-family", call: address_family },
        Function { name: "[method]udp-socket.unicast-hop-limit", call: option!(get, HopLimit, U8) },
        Function {
            name: "[method]udp-socket.set-unicast-hop-limit",
            call: option!(set, HopLimit, U8),
        },
        Function {
            name: "[method]udp-socket.receive-buffer-size",
            call: option!(get, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]udp-socket.set-receive-buffer-size",
            call: option!(set, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]udp-socket.send-buffer-size",
            call: option!(get, SendBuffer, U64),
        },
        Function {
            name: "[method]udp-socket.set-send-buffer-size",
            call: option!(set, SendBuffer, U64),
        },
        Function { name: "[method]udp-socket.subscribe", call: subscribe },
        Function { name: "[method]incoming-datagram-stream.receive", call: datagrams::receive },
        Function {
            name: "[method]incoming-datagram-stream.subscribe",
            call: datagrams::subscribe_incoming,
        },
        Function {
            name: "[method]outgoing-datagram-stream.check-send",
            call: datagrams::check_send,
        },
        Function { name: "[method]outgoing-datagram-stream.send", call: datagrams::send },
        Function {
            name: "[method]outgoing-datagram-stream.subscribe",
            call: datagrams::subscribe_outgoing,
        },
    ],
};

/// The thing behind a `udp-socket`. Its streams are its children.
pub(crate) struct UdpSocket {
    socket: Arc<dyn Socket>,
    family: Family,
    state: State,
    /// The address that it is connected to.
    remote: Option<SocketAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unbound,
    Binding,
    Bound,
}

impl UdpSocket {
    /// Gives it an address of this machine.
    pub(crate) fn bind(&mut self, local: SocketAddr) -> sockets::Result<()> {
        if self.state != State::Unbound {
            return Err(Error::InvalidState);
        }
        check_local(local, self.family)?;
        self.socket.bind(local)?;
        self.state = State::Binding;
        Ok(())
    }

    /// The end of a bind.
    pub(crate) fn finish_bind(&mut self) -> sockets::Result<()> {
        if self.state != State::Binding {
            return Err(Error::NotInProgress);
        }
        self.state = State::Bound;
        Ok(())
    }

    /// Gives it any address of this machine, unless it has one.
    pub(crate) fn bind_if_unbound(&mut self) -> sockets::Result<()> {
        if self.state == State::Bound {
            return Ok(());
        }
        let any: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.bind((any, 0).into())?;
        self.finish_bind()
    }

    /// Refuses a socket without an address.
    pub(crate) fn check_bound(&self) -> sockets::Result<()> {
        if self.state == State::Bound { Ok(()) } else { Err(Error::InvalidState) }
    }

    /// The address that it is connected to.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// The socket as it is now.
    pub(crate) fn peer(&self) -> Peer {
        Peer { socket: self.socket.clone(), family: self.family, remote: self.remote }
    }

    /// Connects it to another address, or to none.
    fn connect(&mut self, remote: Option<SocketAddr>, is_allowed: bool) -> sockets::Result<()> {
        self.check_bound()?;
        match remote {
            // The system connects one to another address, but takes no connection back.
            None if self.remote.is_some() => Err(Error::NotSupported),
            None => Ok(()),
            Some(remote) => {
                check_remote(remote, self.family)?;
                if !is_allowed {
                    return Err(Error::AccessDenied);
                }
                self.socket.connect(remote)?;
                self.remote = Some(remote);
                Ok(())
            }
        }
    }
}

/// Connects a socket to an address that the guest may talk to, or to none.
pub(crate) fn connect_to(
    host: &mut Host<'_, '_>,
    socket: &Value,
    remote: Option<SocketAddr>,
) -> Result<sockets::Result<()>, Stop> {
    let is_allowed = remote.is_none_or(|remote| allows(host, Transport::Udp, remote));
    Ok(get(host, socket)?.connect(remote, is_allowed))
}

pub(crate) fn get<'a>(
    host: &'a mut Host<'_, '_>,
    socket: &Value,
) -> Result<&'a mut UdpSocket, Stop> {
    Ok(host.resources().get::<UdpSocket>(socket.handle()?)?)
}

pub(crate) fn find<'a>(host: &'a mut Host<'_, '_>, socket: &Value) -> Result<&'a dyn Socket, Stop> {
    Ok(&*get(host, socket)?.socket)
}

pub(crate) fn create(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [family] = super::super::args(args)?;
    let family = address::family(family)?;
    let socket = match open(host, Transport::Udp, family) {
        Ok(socket) => socket.into(),
        Err(error) => return Ok(Value::err(code(error))),
    };
    let socket = UdpSocket { socket, family, state: State::Unbound, remote: None };
    Ok(Value::ok(Value::Handle(host.resources().insert_kept(socket, SOCKET_BYTES)?)))
}

fn start_bind(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket, network, local] = super::super::args(args)?;
    check_network(host, network)?;
    let local = socket_address(local)?;
    done(get(host, socket)?.bind(local))
}

fn finish_bind(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    done(get(host, socket)?.finish_bind())
}

/// Connects the socket, if there is a remote address, and makes its streams.
fn stream(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [handle, remote] = super::super::args(args)?;
    let remote = remote.optional()?.map(socket_address).transpose()?;
    if let Err(error) = connect_to(host, handle, remote)? {
        return Ok(Value::err(code(error)));
    }
    let peer = get(host, handle)?.peer();
    let (incoming, outgoing) = (Incoming(peer.clone()), Outgoing(peer));
    let (parent, resources) = (handle.handle()?, host.resources());
    let incoming = resources.insert_child(incoming, parent)?;
    let outgoing = resources.insert_child(outgoing, parent)?;
    Ok(Value::ok(Value::Record(vec![Value::Handle(incoming), Value::Handle(outgoing)])))
}

pub(crate) fn local_address(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    let socket = get(host, socket)?;
    ended(match socket.state {
        State::Bound => socket.socket.local_address().map(socket_address_value),
        State::Unbound | State::Binding => Err(Error::InvalidState),
    })
}

pub(crate) fn remote_address(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    let remote = get(host, socket)?.remote.ok_or(Error::InvalidState);
    ended(remote.map(socket_address_value))
}

pub(crate) fn address_family(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    Ok(address::family_value(get(host, socket)?.family))
}

fn subscribe(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    get(host, socket)?;
    Ok(Pollable::of(host.resources(), socket.handle()?)?)
}
