//! Peers: the clients that send requests, and the accounts that a request is charged to.

use super::answer::Problem;
use super::forwarded;
use crate::budget::{Holder, Lease};
use crate::connection::Exchange;
use crate::limits::ClientAddress;
use crate::network::Client;
use crate::server::Shared;
use hyper::HeaderMap;
use hyper::http::request::Parts;
use std::net::IpAddr;
use wfaas_function::FunctionName;

/// Most bytes of headers that are not counted: the price of having a request at all.
const SMALL_HEAD: usize = 4 << 10;

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// `None` for a trusted proxy.
    pub(crate) client: Option<Client>,
    pub(crate) is_trusted: bool,
    /// Whether the connection is for health and management only.
    pub(crate) reserved: bool,
}

/// Who sent one request.
pub(super) struct Caller<'a> {
    shared: &'a Shared,
    pub(super) exchange: &'a Exchange,
    is_trusted: bool,
    client: Option<Client>,
}

impl Peer {
    /// Who sent a request with these headers.
    pub(super) fn caller<'a>(
        &self,
        shared: &'a Shared,
        exchange: &'a Exchange,
        headers: &HeaderMap,
    ) -> Caller<'a> {
        let limits = &shared.config.clients;
        let mut client = self.client;
        if self.is_trusted && limits.client_address == ClientAddress::Forwarded {
            // Clients that are hidden are limited together.
            let named = forwarded::client(headers, |address| limits.is_trusted(address));
            client = Some(Client::of(named.unwrap_or(self.address)));
        }
        Caller { shared, exchange, is_trusted: self.is_trusted, client }
    }
}

impl Caller<'_> {
    /// The answer of this function has no room. The client is held to the time it is told.
    pub(super) fn refuse(&self, function: &FunctionName) -> Problem {
        if let Some(client) = self.client {
            self.shared.refusals.add(client, function);
        }
        Problem::too_much()
    }

    /// A lease of the bytes of a request to this function, its head's if that is large.
    pub(super) fn bytes(&self, function: &FunctionName, head: &Parts) -> Result<Lease, Problem> {
        if self.client.is_some_and(|client| self.shared.refusals.contains(client, function)) {
            return Err(Problem::too_much());
        }
        let mut holders = self.holders(function);
        if !self.is_trusted {
            let account = self.exchange.connection().account.clone();
            let share = self.shared.config.clients.connection_share;
            holders.push(Holder { account, share, is_client: false });
        }
        let mut lease = self.shared.buffered.lease(holders);
        let headers = head.headers.iter();
        let bytes: usize = headers.map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > SMALL_HEAD {
            lease.grow(bytes as u64).map_err(|_| Problem::too_much())?;
        }
        Ok(lease)
    }

    /// A place in the queue for a request to this function.
    pub(super) fn place(&self, function: &FunctionName) -> Result<Lease, Problem> {
        let mut place = self.shared.places.lease(self.holders(function));
        let mut granted = place.grow(1);
        if granted.is_err() && self.shared.workers.make_room(&place.payer()) {
            granted = place.grow(1);
        }
        granted.map(|()| place).map_err(|_| Problem::busy_workers())
    }

    fn holders(&self, function: &FunctionName) -> Vec<Holder> {
        let limits = &self.shared.config.clients;
        let (account, share) = (self.shared.functions.of(function), limits.function_share);
        let mut holders = vec![Holder { account, share, is_client: false }];
        if let Some(client) = &self.client {
            let (account, share) = (self.shared.addresses.of(client), limits.address_share);
            holders.push(Holder { account, share, is_client: true });
        }
        holders
    }
}
