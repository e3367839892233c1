//! `tcp-socket` of `wasi:sockets/types@0.3`.

use super::preview2::{Kind, SOCKET_BYTES, done, options, socket_address, tcp};
use super::{TYPES, ended};
use crate::canonical::Value;
use crate::preview2::{Function, Host, InputStream, Interface, OutputStream, Stop, args};
use crate::preview3::Promise;
use crate::sockets::{Direction, Error, Socket, SocketOption};
use crate::stdio::{ByteSink, ByteStream, Input, Output, Refused};
use bytes::Bytes;
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use wfaas_vm::BoxError;

/// Functions that read or set an option.
macro_rules! option {
    ($function:ident, $option:ident, $kind:ident) => {
        |host, args| options::$function(host, args, tcp::find, (SocketOption::$option, Kind::$kind))
    };
}

pub(in super::super) const TCP: Interface = Interface {
    name: TYPES,
    functions: &[
        Function { name: "[static]tcp-socket.create", call: tcp::create },
        Function { name: "[method]tcp-socket.bind", call: bind },
        Function { name: "[method]tcp-socket.connect", call: connect },
        Function { name: "[method]tcp-socket.listen", call: listen },
        Function { name: "[method]tcp-socket.send", call: send },
        Function { name: "[method]tcp-socket.receive", call: receive },
        Function { name: "[method]tcp-socket.get-local-address", call: tcp::local_address },
        Function { name: "[method]tcp-socket.get-remote-address", call: tcp::remote_address },
        Function { name: "[method]tcp-socket.get-is-listening", call: tcp::is_listening },
        Function { name: "[method]tcp-socket.get-address-family", call: tcp::address_family },
        Function { name: "[method]tcp-socket.set-listen-backlog-size", call: tcp::set_backlog },
        Function {
            name: "[method]tcp-socket.get-keep-alive-enabled",
            call: option!(get, KeepAlive, Switch),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-enabled",
            call: option!(set, KeepAlive, Switch),
        },
        Function {
            name: "[method]tcp-socket.get-keep-alive-idle-time",
            call: option!(get, KeepAliveIdle, U64),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-idle-time",
            call: option!(set, KeepAliveIdle, U64),
        },
        Function {
            name: "[method]tcp-socket.get-keep-alive-interval",
            call: option!(get, KeepAliveInterval, U64),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-interval",
            call: option!(set, KeepAliveInterval, U64),
        },
        Function {
            name: "[method]tcp-socket.get-keep-alive-count",
            call: option!(get, KeepAliveCount, U32),
        },
        Function {
            name: "[method]tcp-socket.set-keep-alive-count",
            call: option!(set, KeepAliveCount, U32),
        },
        Function { name: "[method]tcp-socket.get-hop-limit", call: option!(get, HopLimit, U8) },
        Function { name: "[method]tcp-socket.set-hop-limit", call: option!(set, HopLimit, U8) },
        Function {
            name: "[method]tcp-socket.get-receive-buffer-size",
            call: option!(get, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]tcp-socket.set-receive-buffer-size",
            call: option!(set, ReceiveBuffer, U64),
        },
        Function {
            name: "[method]tcp-socket.get-send-buffer-size",
            call: option!(get, SendBuffer, U64),
        },
        Function {
            name: "[method]tcp-socket.set-send-buffer-size",
            call: option!(set, SendBuffer, U64),
        },
    ],
};

/// Most bytes that are read or sent at once.
const PIECE: usize = 32 << 10;

fn bind(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket, local] = args(values)?;
    let local = socket_address(local)?;
    let socket = tcp::get(host, socket)?;
    done(socket.bind(local).and_then(|()| socket.finish_bind()))
}

fn connect(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [handle, remote] = args(values)?;
    if *host.progress() == 0 {
        let remote = socket_address(remote)?;
        if let Err(error) = tcp::begin_connect(host, handle, remote)? {
            return done(Err(error));
        }
        *host.progress() = 1;
    }
    match tcp::get(host, handle)?.finish_connect() {
        Err(Error::WouldBlock) => Err(Stop::wait_for(host, handle.handle()?)),
        end => done(end),
    }
}

fn listen(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket] = args(values)?;
    tcp::get(host, socket)?;
    done(Err(Error::AccessDenied))
}

fn send(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket, data] = args(values)?;
    let reader = host.resources().take_stream(data.handle()?)?;
    let socket = tcp::get(host, socket)?.take_direction(Direction::Send);
    let (future, promise) = host.resources().future(Value::done())?;
    match socket {
        Ok(socket) => {
            let sending = Sending { socket, ended: Some(promise) };
            let output = OutputStream::new(Output::stream(Box::new(sending)));
            host.connect(reader, output, None)?;
        }
        Err(error) => drop(promise.with(ended(error))),
    }
    Ok(Value::Handle(future))
}

fn receive(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [socket] = args(values)?;
    let socket = tcp::get(host, socket)?.take_direction(Direction::Receive);
    let (future, promise) = host.resources().future(Value::done())?;
    let input = match socket {
        Ok(socket) => Input::stream(Box::new(Receiving { socket, ended: Some(promise) })),
        Err(error) => {
            drop(promise.with(ended(error)));
            Input::default()
        }
    };
    let stream = host.resources().stream(InputStream::new(input), None)?;
    host.resources().keep(stream, SOCKET_BYTES + PIECE)?;
    Ok(Value::Record(vec![Value::Handle(stream), Value::Handle(future)]))
}

/// A connection that a stream is sent to.
struct Sending {
    socket: Arc<dyn Socket>,
    /// Resolved when it is dropped, or has failed.
    ended: Option<Promise>,
}

impl ByteSink for Sending {
    fn is_full(&self) -> bool {
        false // the system's buffer tells when it is asked
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_ready(Direction::Send, context)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        // The kernel does not find pages of a guest that nobody has touched.
        let bytes = bytes[..bytes.len().min(PIECE)].to_vec();
        match self.socket.send(&bytes) {
            Ok(sent) => Ok(sent),
            Err(Error::WouldBlock) => Ok(0),
            Err(error) => {
                drop(self.ended.take().map(|promise| promise.with(ended(error))));
                Err(Refused.into())
            }
        }
    }

    fn close(&mut self) -> Result<(), BoxError> {
        _ = self.socket.shutdown(Shutdown::Write); // the other side may be gone
        Ok(())
    }
}

/// A connection that is read.
struct Receiving {
    socket: Arc<dyn Socket>,
    /// Resolved at the end.
    ended: Option<Promise>,
}

impl ByteStream for Receiving {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut bytes = vec![0; PIECE];
        loop {
            ready!(self.socket.poll_ready(Direction::Receive, context));
            match self.socket.receive(&mut bytes) {
                Err(Error::WouldBlock) => {} // it was not ready: it says so from now on
                Ok(0) => return Poll::Ready(None),
                Ok(len) => {
                    bytes.truncate(len);
                    return Poll::Ready(Some(Ok(bytes.into())));
                }
                Err(error) => {
                    self.ended = self.ended.take().map(|promise| promise.with(ended(error)));
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        _ = self.socket.shutdown(Shutdown::Read); // the other side may be gone
    }
}
