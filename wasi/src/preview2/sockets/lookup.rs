//! `wasi:sockets/ip-name-lookup`: addresses of names.

use super::super::Pollable;
use super::super::host::{Function, Host, Interface, Stop};
use super::address::address_value;
use super::{check_network, code, ended};
use crate::canonical::Value;
use crate::sockets::{self, Error, LookUp};
use std::future::ready;
use std::net::IpAddr;
use std::task::{Context, Poll, Waker};

pub(in super::super) const LOOKUP: Interface = Interface {
    name: "wasi:sockets/ip-name-lookup@0.2",
    functions: &[
        Function { name: "resolve-addresses", call: resolve_addresses },
        Function {
            name: "[method]resolve-address-stream.resolve-next-address",
            call: resolve_next_address,
        },
        Function { name: "[method]resolve-address-stream.subscribe", call: subscribe },
    ],
};

/// Longest name (RFC 1035, 2.3.4, as text).
const MAX_NAME: usize = 253;

/// Most addresses of one name.
const MAX_ADDRESSES: usize = 64;

/// Bytes that a look-up counts as.
const LOOK_UP_BYTES: usize = 1024;

/// The thing behind a `resolve-address-stream`.
pub(super) enum AddressStream {
    Waiting(LookUp),
    Found(std::vec::IntoIter<IpAddr>),
    Failed(Error),
}

impl AddressStream {
    fn of(found: sockets::Result<Vec<IpAddr>>) -> AddressStream {
        match found {
            Ok(mut addresses) => {
                addresses.truncate(MAX_ADDRESSES);
                AddressStream::Found(addresses.into_iter())
            }
            Err(error) => AddressStream::Failed(error),
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let AddressStream::Waiting(look_up) = self {
            *self = AddressStream::of(std::task::ready!(look_up.as_mut().poll(context)));
        }
        Poll::Ready(())
    }

    /// The next address; `None` behind the last one.
    fn next(&mut self) -> sockets::Result<Option<IpAddr>> {
        _ = self.poll(&mut Context::from_waker(Waker::noop())); // it may be ready by now
        match self {
            AddressStream::Waiting(_) => Err(Error::WouldBlock),
            AddressStream::Found(addresses) => Ok(addresses.next()),
            AddressStream::Failed(error) => Err(*error),
        }
    }
}

fn resolve_addresses(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [network, name] = super::super::args(args)?;
    check_network(host, network)?;
    let stream = match look_up(host, name.text()?) {
        Ok(look_up) => AddressStream::Waiting(look_up),
        Err(error) => return Ok(Value::err(code(error))),
    };
    Ok(Value::ok(Value::Handle(host.resources().insert_kept(stream, LOOK_UP_BYTES)?)))
}

/// Begins to look up a name. An address is its own.
pub(crate) fn look_up(host: &mut Host<'_, '_>, name: &str) -> sockets::Result<LookUp> {
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = literal.parse() {
        return Ok(Box::pin(ready(Ok(vec![address]))));
    }
    let is_name = (1..=MAX_NAME).contains(&name.len()) && !name.contains(['\0', ' ', '/', ':']);
    if !is_name {
        return Err(Error::InvalidArgument);
    }
    let network = host.wasi().network().ok_or(Error::AccessDenied)?;
    network.look_up(name)
}

fn resolve_next_address(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::super::args(args)?;
    let next = host.resources().get::<AddressStream>(stream.handle()?)?.next();
    ended(next.map(|next| Value::option(next.map(address_value))))
}

fn subscribe(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::super::args(args)?;
    host.resources().get::<AddressStream>(stream.handle()?)?;
    Ok(Pollable::of(host.resources(), stream.handle()?)?)
}
