//! `wasi:sockets/tcp`: connections to other machines.
//!
//! ```text
//!   unbound ── start-bind ──→ binding ── finish-bind ──→ bound
//!      └──────────┬─────────────────────────────────────────┘
//!           start-connect ──→ connecting ── finish-connect ──→ connected
//!                 └─────────── an error ──────────┴──────────→ closed
//! ```

use super::super::host::{Function, Host, Interface, Stop};
use super::super::input::Source;
use super::super::output::Sink;
use super::super::{InputStream, OutputStream, Pollable};
use super::address::{self, check_local, check_remote, socket_address, socket_address_value};
use super::options::{self, Kind};
use super::{SOCKET_BYTES, Sending, allows, check_network, code, done, ended, open};
use crate::canonical::Value;
use crate::sockets::{self, Direction, Error, Family, Socket, SocketOption, Transport};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Functions that read or set an option.
macro_rules! option {
    ($function:ident, $option:ident, $kind:ident) => {
        |host, args| options::$function(host, args, find, (SocketOption::$option, Kind::$kind))
    };
}

pub(in super::super) const TCP: Interface = Interface {
    name: "wasi:sockets/tcp@0.2",
    functions: &[
        Function { name: "[method]tcp-socket.start-bind", call: start_bind },
        Function { name: "[method]tcp-socket.finish-bind", call: finish_bind },
        Function { name: "[method]tcp-socket.start-connect", call: start_connect },
        Function { name: "[method]tcp-socket.finish-connect", call: finish_connect },
        Function { name: "[method]tcp-socket.start-listen", call: start_listen },
        Function { name: "[method]tcp-socket.finish-listen", call: not_listening },
        Function { name: "[method]tcp-socket.accept", call: accept },
        Function { name: "[method]tcp-socket.local-address", call: local_address },
        Function { name: "[method]tcp-socket.remote-address", call: remote_address },
        Function { name: "[method]tcp-socket.is-listening", call: is_listening },
        Function { name: "[method]tcp-socket.address-family", call: address_family },
        Function { name: "[method]tcp-socket.set-listen-backlog-size", call: set_backlog },
        Function {
            name: "[method]tcp-socket.keep-alive-enabled",
            call: option!(get, KeepAlive, Switch),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-enabled",
            call: option!(set, KeepAlive, Switch),
        },
        Function {
            name: "[method]tcp-socket.keep-alive-idle-time",
            call: option!(get, KeepAliveIdle, U64),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-idle-time",
            call: option!(set, KeepAliveIdle, U64),
        },
        Function {
            name: "[method]tcp-socket.keep-alive-interval",
            call: option!(get, KeepAliveInterval, U64),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-interval",
            call: option!(set, KeepAliveInterval, U64),
        },
        Function {
            name: "[method]tcp-socket.keep-alive-count",
            call: option!(get, KeepAliveCount, U32),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-count",
            call: option!(set, KeepAliveCount, U32),
        },
        Function { name: "[method]tcp-socket.hop-limit", call: option!(get, HopLimit, U8) },
        Function { name: "[method]tcp-socket.set-hop-limit", call: option!(set, HopLimit, U8) },
        Function {
            name: "[method]tcp-socket.receive-buffer-size",
            call: option!(get, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]tcp-socket.set-receive-buffer-size",
            call: option!(set, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]tcp-socket.send-buffer-size",
            call: option!(get, SendBuffer, U64),
        },
        Function {
            name: "[method]tcp-socket.set-send-buffer-size",
            call: option!(set, SendBuffer, U64),
        },
        Function { name: "[method]tcp-socket.subscribe", call: subscribe },
        Function { name: "[method]tcp-socket.shutdown", call: shutdown },
    ],
};

/// The thing behind a `tcp-socket`. Its streams are its children.
pub(crate) struct TcpSocket {
    socket: Arc<dyn Socket>,
    family: Family,
    state: State,
    /// Whether a stream of 0.3 has its receiving side, and one its sending side.
    taken: [bool; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unbound,
    Binding,
    Bound,
    Connecting,
    Connected,
    Closed,
}

impl TcpSocket {
    /// Ready when the operation that was started can be finished.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.state {
            State::Connecting => self.socket.poll_ready(Direction::Send, context),
            _ => Poll::Ready(()),
        }
    }

    /// Checks the state.
    fn has(&self, states: &[State]) -> sockets::Result<()> {
        if states.contains(&self.state) { Ok(()) } else { Err(Error::InvalidState) }
    }

    /// Gives it an address of this machine.
    pub(crate) fn bind(&mut self, local: SocketAddr) -> sockets::Result<()> {
        self.has(&[State::Unbound])?;
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

    /// The end of a connect.
    pub(crate) fn finish_connect(&mut self) -> sockets::Result<()> {
        if self.state != State::Connecting {
            return Err(Error::NotInProgress);
        }
        let end = self.socket.connected();
        self.state = match end {
            Ok(()) => State::Connected,
            Err(Error::WouldBlock) => State::Connecting,
            Err(_) => State::Closed,
        };
        end
    }

    /// The socket, for the one stream of a direction.
    pub(crate) fn take_direction(
        &mut self,
        direction: Direction,
    ) -> sockets::Result<Arc<dyn Socket>> {
        self.has(&[State::Connected])?;
        let is_taken = &mut self.taken[usize::from(direction == Direction::Send)];
        match std::mem::replace(is_taken, true) {
            true => Err(Error::InvalidState),
            false => Ok(self.socket.clone()),
        }
    }
}

/// Begins to connect a socket, if the guest may talk to that address.
pub(crate) fn begin_connect(
    host: &mut Host<'_, '_>,
    socket: &Value,
    remote: SocketAddr,
) -> Result<sockets::Result<()>, Stop> {
    let is_allowed = allows(host, Transport::Tcp, remote);
    let socket = get(host, socket)?;
    let valid = socket.has(&[State::Unbound, State::Bound]);
    let valid = valid.and_then(|()| check_remote(remote, socket.family));
    let allowed = valid.and(if is_allowed { Ok(()) } else { Err(Error::AccessDenied) });
    if allowed.is_err() {
        return Ok(allowed);
    }
    let begun = socket.socket.connect(remote);
    socket.state = if begun.is_ok() { State::Connecting } else { State::Closed };
    Ok(begun)
}

pub(crate) fn get<'a>(
    host: &'a mut Host<'_, '_>,
    socket: &Value,
) -> Result<&'a mut TcpSocket, Stop> {
    Ok(host.resources().get::<TcpSocket>(socket.handle()?)?)
}

pub(crate) fn find<'a>(host: &'a mut Host<'_, '_>, socket: &Value) -> Result<&'a dyn Socket, Stop> {
    Ok(&*get(host, socket)?.socket)
}

pub(crate) fn create(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [family] = super::super::args(args)?;
    let family = address::family(family)?;
    let socket = match open(host, Transport::Tcp, family) {
        Ok(socket) => socket.into(),
        Err(error) => return Ok(Value::err(code(error))),
    };
    let socket = TcpSocket { socket, family, state: State::Unbound, taken: [false; 2] };
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

fn start_connect(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket, network, remote] = super::super::args(args)?;
    check_network(host, network)?;
    let remote = socket_address(remote)?;
    done(begin_connect(host, socket, remote)?)
}

fn finish_connect(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [handle] = super::super::args(args)?;
    let socket = get(host, handle)?;
    if let Err(error) = socket.finish_connect() {
        return Ok(Value::err(code(error)));
    }
    let (input, output) = (socket.socket.clone(), socket.socket.clone());
    let (parent, resources) = (handle.handle()?, host.resources());
    let input = resources.insert_child(InputStream::of(Source::Socket(input)), parent)?;
    let output =
        resources.insert_child(OutputStream::of(Sink::Socket(Sending::new(output))), parent)?;
    Ok(Value::ok(Value::Record(vec![Value::Handle(input), Value::Handle(output)])))
}

fn start_listen(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    done(get(host, socket)?.has(&[State::Bound]).and(Err(Error::AccessDenied)))
}

fn not_listening(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    get(host, socket)?;
    done(Err(Error::NotInProgress))
}

fn accept(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    get(host, socket)?;
    ended(Err(Error::InvalidState))
}

pub(crate) fn is_listening(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    get(host, socket)?;
    Ok(Value::Bool(false))
}

pub(crate) fn set_backlog(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket, size] = super::super::args(args)?;
    get(host, socket)?;
    // A hint, and nobody listens: programs set it before they ask to.
    done(if size.u64()? == 0 { Err(Error::InvalidArgument) } else { Ok(()) })
}

pub(crate) fn local_address(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    let socket = get(host, socket)?;
    let has_one = socket.has(&[State::Bound, State::Connecting, State::Connected]);
    let address = has_one.and_then(|()| socket.socket.local_address());
    ended(address.map(socket_address_value))
}

pub(crate) fn remote_address(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket] = super::super::args(args)?;
    let socket = get(host, socket)?;
    let address = socket.has(&[State::Connected]).and_then(|()| socket.socket.remote_address());
    ended(address.map(socket_address_value))
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

fn shutdown(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [socket, how] = super::super::args(args)?;
    let how = match how.variant()? {
        (0, None) => Shutdown::Read,
        (1, None) => Shutdown::Write,
        (2, None) => Shutdown::Both,
        _ => return Err(Value::mismatch().into()),
    };
    let socket = get(host, socket)?;
    done(socket.has(&[State::Connected]).and_then(|()| socket.socket.shutdown(how)))
}
