//! `incoming-datagram-stream` and `outgoing-datagram-stream`.
//!
//! A datagram is sent to an address that the guest may talk to; one that comes from another is dropped, so that nobody
//! else reaches a guest by the port that its socket happens to have.

use super::super::Pollable;
use super::super::host::{Host, Stop};
use super::address::{check_remote, socket_address, socket_address_value};
use super::{allows, code};
use crate::canonical::Value;
use crate::sockets::{self, Direction, Error, Family, Socket, Transport};
use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Most datagrams of one call.
const MOST: usize = 16;

/// Bytes behind which a call receives no other datagram.
const MOST_BYTES: usize = 64 << 10;

/// Longest datagram.
const LONGEST: usize = 65_507;

/// A socket, and the address that it was connected to when its streams were made.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) socket: Arc<dyn Socket>,
    pub(super) family: Family,
    pub(super) remote: Option<SocketAddr>,
}

/// The thing behind an `incoming-datagram-stream`.
pub(super) struct Incoming(pub(super) Peer);

/// The thing behind an `outgoing-datagram-stream`.
pub(super) struct Outgoing(pub(super) Peer);

impl Incoming {
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.socket.poll_ready(Direction::Receive, context)
    }
}

impl Outgoing {
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.socket.poll_ready(Direction::Send, context)
    }
}

pub(super) fn receive(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, most] = super::super::args(args)?;
    let peer = host.resources().get::<Incoming>(stream.handle()?)?.0.clone();
    let most = usize::try_from(most.u64()?).map_or(MOST, |most| most.min(MOST));
    let (mut found, mut bytes) = (Vec::new(), 0);
    // Datagrams of others count too: a flood of them is a turn's work like any other.
    for _ in 0..most {
        match receive_one(host, &peer) {
            Ok(Some((data, from))) => {
                bytes += data.len();
                let parts = vec![Value::Bytes(data), socket_address_value(from)];
                found.push(Value::Record(parts));
            }
            Ok(None) => {}
            Err(Error::WouldBlock) => break,
            Err(error) if found.is_empty() => return Ok(Value::err(code(error))),
            Err(_) => break,
        }
        if bytes >= MOST_BYTES {
            break;
        }
    }
    Ok(Value::ok(Value::List(found)))
}

/// Receives a datagram; `None` if it is from an address that the guest does not talk to.
pub(crate) fn receive_one(
    host: &mut Host<'_, '_>,
    peer: &Peer,
) -> sockets::Result<Option<(Vec<u8>, SocketAddr)>> {
    let mut data = vec![0; MOST_BYTES];
    let (len, from) = peer.socket.receive_from(&mut data)?;
    let is_from_peer = peer.remote.is_none_or(|remote| is_same(remote, from));
    if !is_from_peer || !allows(host, Transport::Udp, from) {
        return Ok(None);
    }
    data.truncate(len);
    data.shrink_to_fit();
    Ok(Some((data, from)))
}

/// Whether two addresses are the same: the flow of IPv6 does not count.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

pub(super) fn check_send(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::super::args(args)?;
    let stream = host.resources().get::<Outgoing>(stream.handle()?)?;
    let is_ready = stream.poll(&mut Context::from_waker(Waker::noop())).is_ready();
    Ok(Value::ok(Value::U64(if is_ready { MOST as u64 } else { 0 })))
}

/// Sends datagrams up to the first one that cannot be sent now; how many.
pub(super) fn send(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, datagrams] = super::super::args(args)?;
    let peer = host.resources().get::<Outgoing>(stream.handle()?)?.0.clone();
    let datagrams = datagrams.list()?;
    if datagrams.len() > MOST {
        return Err(Stop::rule("outgoing-datagram-stream.send", "more than were permitted"));
    }
    let mut sent = 0;
    for datagram in datagrams {
        let [data, remote] = datagram.record()?;
        let remote = remote.optional()?.map(socket_address).transpose()?;
        let data = copied(host, data)?;
        match data.and_then(|data| send_to(host, &peer, &data, remote)) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => break,
            Err(error) if sent == 0 => return Ok(Value::err(code(error))),
            Err(_) => break, // the guest asks again, and is told
        }
    }
    Ok(Value::ok(Value::U64(sent)))
}

/// The bytes of a datagram. The kernel does not find pages of a guest that nobody has touched.
pub(crate) fn copied(
    host: &mut Host<'_, '_>,
    data: &Value,
) -> Result<sockets::Result<Vec<u8>>, Stop> {
    let data = data.slice()?;
    match data.len() {
        0..=LONGEST => Ok(Ok(host.bytes(data)?.to_vec())),
        _ => Ok(Err(Error::DatagramTooLarge)),
    }
}

/// Sends a datagram to the address that the socket is connected to, or to another one that the guest may talk to.
pub(crate) fn send_to(
    host: &mut Host<'_, '_>,
    peer: &Peer,
    data: &[u8],
    remote: Option<SocketAddr>,
) -> sockets::Result<()> {
    let to = destination(peer, remote)?;
    if !allows(host, Transport::Udp, to) {
        return Err(Error::AccessDenied);
    }
    match peer.remote {
        Some(_) => peer.socket.send(data).map(drop),
        None => peer.socket.send_to(data, to),
    }
}

/// The address that a datagram goes to.
fn destination(peer: &Peer, remote: Option<SocketAddr>) -> sockets::Result<SocketAddr> {
    let to = match (peer.remote, remote) {
        (Some(own), None) => own,
        (Some(own), Some(remote)) if is_same(own, remote) => own,
        (None, Some(remote)) => remote,
        _ => return Err(Error::InvalidArgument),
    };
    check_remote(to, peer.family)?;
    Ok(to)
}

pub(super) fn subscribe_incoming(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    subscribe::<Incoming>(host, args)
}

pub(super) fn subscribe_outgoing(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    subscribe::<Outgoing>(host, args)
}

fn subscribe<T: Any>(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::super::args(args)?;
    host.resources().get::<T>(stream.handle()?)?;
    Ok(Pollable::of(host.resources(), stream.handle()?)?)
}
