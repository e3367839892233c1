//! Peers: the clients that send requests, and the accounts that a request is charged to.

use super::answer::Problem;
use super::forwarded;
use crate::budget::{Account, Budget, Holder, Holders, Kind, Lease};
use crate::connection::Exchange;
use crate::limits::ClientAddress;
use crate::network::Client;
use crate::registry::Deployed;
use crate::scheduler::Place;
use crate::server::Shared;
use hyper::HeaderMap;
use hyper::http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;
use wfaas_function::FunctionName;

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// `None` for a trusted proxy.
    pub(crate) client: Option<Client>,
    /// Of the client.
    pub(crate) account: Option<Arc<Account>>,
    pub(crate) is_trusted: bool,
    /// Whether the connection is for health and management only.
    pub(crate) reserved: bool,
}

/// Who sent one request.
pub(crate) struct Caller<'a> {
    shared: &'a Shared,
    pub(crate) exchange: &'a Exchange,
    is_trusted: bool,
    client: Option<(Client, Arc<Account>)>,
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
        let mut client = self.client.zip(self.account.clone());
        if self.is_trusted && limits.client_address == ClientAddress::Forwarded {
            // Clients that are hidden are limited together.
            let named = forwarded::client(headers, |address| limits.is_trusted(address));
            let named = Client::of(named.unwrap_or(self.address));
            client = Some((named, shared.addresses.of(&named)));
        }
        Caller { shared, exchange, is_trusted: self.is_trusted, client }
    }
}

impl Caller<'_> {
    /// The answer of this function has no room. The client is held to the time it is told.
    pub(super) fn refuse(&self, function: &FunctionName) -> Problem {
        if let Some((client, _)) = self.client {
            self.shared.refusals.add(client, function);
        }
        Problem::too_much()
    }

    /// A lease of the bytes of a request to this function, so far its head's.
    pub(crate) fn bytes(&self, deployed: &Deployed, head: &Parts) -> Result<Lease, Problem> {
        let comes_early =
            |(client, _): &(Client, _)| self.shared.refusals.contains(*client, deployed.name());
        if self.client.as_ref().is_some_and(comes_early) {
            return Err(Problem::too_much());
        }
        let mut holders = self.holders(Some(deployed));
        holders.add(self.tenant(deployed, u64::MAX));
        self.lease_head(&self.shared.buffered, holders, head)
    }

    /// A lease of the bytes of a request for management, so far its head's.
    pub(crate) fn managing(&self, head: &Parts) -> Result<Lease, Problem> {
        self.lease_head(&self.shared.managing, self.holders(None), head)
    }

    fn lease_head(
        &self,
        budget: &Budget,
        mut holders: Holders,
        head: &Parts,
    ) -> Result<Lease, Problem> {
        if !self.is_trusted {
            let account = self.exchange.connection().account.clone();
            let share = self.shared.config.clients.connection_share;
            holders.add(Holder { account, share, most: u64::MAX, kind: Kind::Other });
        }
        let mut lease = budget.lease(holders);
        lease.grow(head_bytes(head)).map_err(|_| Problem::too_much())?;
        Ok(lease)
    }

    /// A place for a request to this function.
    pub(crate) fn place(&self, deployed: &Deployed) -> Result<Place, Problem> {
        let tenant = &deployed.payer.tenant;
        let memory = tenant.reserve(deployed.memory).ok_or_else(Problem::busy_tenant)?;
        let mut holders = self.holders(Some(deployed));
        holders.add(self.tenant(deployed, tenant.max_requests));
        let mut lease = self.shared.places.lease(holders);
        let mut granted = lease.grow(1);
        if granted.is_err() && self.shared.scheduler.make_room(&lease.payer(), tenant) {
            granted = lease.grow(1);
        }
        granted.map_err(|_| Problem::busy_server())?;
        Ok(Place { lease, _memory: memory })
    }

    fn tenant(&self, deployed: &Deployed, most: u64) -> Holder {
        let account = deployed.payer.tenant.account.clone();
        Holder { account, share: self.shared.config.clients.tenant_share, most, kind: Kind::Tenant }
    }

    fn holders(&self, function: Option<&Deployed>) -> Holders {
        let limits = &self.shared.config.clients;
        let mut holders = Holders::default();
        if let Some(function) = function {
            let account = function.account(&self.shared.functions).clone();
            let share = limits.function_share;
            holders.add(Holder { account, share, most: u64::MAX, kind: Kind::Other });
        }
        if let Some((_, account)) = &self.client {
            let (account, share) = (account.clone(), limits.address_share);
            holders.add(Holder { account, share, most: u64::MAX, kind: Kind::Client });
        }
        holders
    }
}

/// Bytes of memory beside its name and value that a header takes, by the rule of RFC 9113, 6.5.2.
const HEADER_BYTES: usize = 32;

/// Bytes of memory that the head of a request takes.
fn head_bytes(head: &Parts) -> u64 {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let headers = head.headers.iter();
    let headers = headers
        .map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES)
        .sum::<usize>();
    (target + headers) as u64
}
