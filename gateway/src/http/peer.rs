//! Peers: the clients that send requests, and the accounts that a request is charged to.

use super::answer::Problem;
use super::forwarded;
use super::known::{Known, Target};
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
    /// Functions that it has asked for.
    pub(crate) known: Known,
}

/// Who sent one request.
pub(crate) struct Caller<'a> {
    shared: &'a Shared,
    pub(crate) exchange: &'a Arc<Exchange>,
    /// Address of the client, as far as it is known.
    pub(super) address: IpAddr,
    peer: &'a Peer,
    /// The client that a trusted proxy has named.
    forwarded: Option<Box<(Client, Arc<Account>)>>,
}

impl Peer {
    /// Who sent a request with these headers.
    pub(super) fn caller<'a>(
        &'a self,
        shared: &'a Shared,
        exchange: &'a Arc<Exchange>,
        headers: &HeaderMap,
    ) -> Caller<'a> {
        let limits = &shared.config.clients;
        let is_forwarded = self.is_trusted && limits.client_address == ClientAddress::Forwarded;
        let mut address = self.address;
        let forwarded = is_forwarded.then(|| {
            // Clients that are hidden are limited together.
            let named = forwarded::client(headers, |address| limits.is_trusted(address));
            address = named.unwrap_or(address);
            let named = Client::of(address);
            Box::new((named, shared.addresses.of(&named)))
        });
        Caller { shared, exchange, address, peer: self, forwarded }
    }

    /// Who sent a request, if that does not depend on its headers.
    pub(super) fn plain_caller<'a>(
        &'a self,
        shared: &'a Shared,
        exchange: &'a Arc<Exchange>,
    ) -> Option<Caller<'a>> {
        let named = shared.config.clients.client_address == ClientAddress::Forwarded;
        let address = self.address;
        let caller = Caller { shared, exchange, address, peer: self, forwarded: None };
        (!self.is_trusted || !named).then_some(caller)
    }
}

impl Caller<'_> {
    fn client(&self) -> Option<(Client, &Arc<Account>)> {
        match self.forwarded.as_deref() {
            Some((client, account)) => Some((*client, account)),
            None => self.peer.client.zip(self.peer.account.as_ref()),
        }
    }

    /// The function at a path, if this connection has asked for it since the registry's last change.
    pub(super) fn known(&self, path: &[u8], changes: u64) -> Option<Target> {
        let client = self.client().map(|(_, account)| account);
        self.peer.known.find(path, changes, client)
    }

    /// Remembers a function that was found at a path after so many changes.
    pub(crate) fn learn(&self, path: &str, changes: u64, deployed: Arc<Deployed>) -> Target {
        let holders = Arc::new(self.holders(Some(&deployed)));
        let route_bytes = path.len() - deployed.route().rest(path).len();
        let target = Target { deployed, holders, route_bytes };
        self.peer.known.add(path, changes, &target);
        target
    }

    /// The answer of this function has no room. The client is held to the time it is told.
    pub(super) fn refuse(&self, function: &FunctionName) -> Problem {
        if let Some((client, _)) = self.client() {
            self.shared.refusals.add(client, function);
        }
        Problem::too_much()
    }

    /// A lease of the bytes of a request to this function, so far its head's.
    pub(crate) fn bytes(&self, target: &Target, head: &Parts) -> Result<Lease, Problem> {
        self.lease(target, head_bytes(head))
    }

    /// A lease of so many bytes for a request to this function.
    pub(super) fn lease(&self, target: &Target, bytes: u64) -> Result<Lease, Problem> {
        let name = target.deployed.name();
        let comes_early = |(client, _): (Client, _)| self.shared.refusals.contains(client, name);
        if self.client().is_some_and(comes_early) {
            return Err(Problem::too_much());
        }
        self.more(target, bytes)
    }

    /// A lease of so many bytes for a request to this function that is under way: whether the client has come
    /// back too early was asked when it began.
    pub(super) fn more(&self, target: &Target, bytes: u64) -> Result<Lease, Problem> {
        lease(&self.shared.buffered, target.holders.clone(), bytes)
    }

    /// A lease of the bytes of a request for management, so far its head's.
    pub(crate) fn managing(&self, head: &Parts) -> Result<Lease, Problem> {
        lease(&self.shared.managing, Arc::new(self.holders(None)), head_bytes(head))
    }

    /// A place for a request to this function.
    pub(crate) fn place(&self, target: &Target) -> Result<Place, Problem> {
        let tenant = &target.deployed.payer.tenant;
        let memory = tenant.reserve(target.deployed.memory).ok_or_else(Problem::busy_tenant)?;
        let mut lease = self.shared.places.lease(target.holders.clone());
        let mut granted = lease.grow(1);
        if granted.is_err() && self.shared.scheduler.make_room(&lease.payer(), tenant) {
            granted = lease.grow(1);
        }
        granted.map_err(|_| Problem::busy_server())?;
        Ok(Place { lease, _memory: memory })
    }

    /// A place for a request to this function, if there is one without making room.
    pub(super) fn free_place(&self, target: &Target) -> Option<Place> {
        let memory = target.deployed.payer.tenant.reserve(target.deployed.memory)?;
        let mut lease = self.shared.places.lease(target.holders.clone());
        lease.grow(1).ok()?;
        Some(Place { lease, _memory: memory })
    }

    /// Who holds the units of a request to this function, or of one for management.
    fn holders(&self, function: Option<&Deployed>) -> Holders {
        let limits = &self.shared.config.clients;
        let mut holders = Holders::default();
        let mut add = |account: &Arc<Account>, share, most_places, kind| {
            holders.add(Holder { account: account.clone(), share, most_places, kind });
        };
        if let Some(function) = function {
            let account = function.account(&self.shared.functions);
            add(account, limits.function_share, u64::MAX, Kind::Function);
        }
        if let Some((_, account)) = self.client() {
            add(account, limits.address_share, u64::MAX, Kind::Client);
        }
        if let Some(function) = function {
            let tenant = &function.payer.tenant;
            add(&tenant.account, limits.tenant_share, tenant.max_requests, Kind::Tenant);
        }
        if !self.peer.is_trusted {
            let account = &self.exchange.connection().account;
            add(account, limits.connection_share, u64::MAX, Kind::Connection);
        }
        holders
    }
}

fn lease(budget: &Budget, holders: Arc<Holders>, bytes: u64) -> Result<Lease, Problem> {
    let mut lease = budget.lease(holders);
    lease.grow(bytes).map_err(|_| Problem::too_much())?;
    Ok(lease)
}

/// Bytes of memory beside its name and value that a header takes, by the rule of RFC 9113, 6.5.2.
const HEADER_BYTES: usize = 32;

/// Bytes of memory that the head of a request takes.
pub(super) fn head_bytes(head: &Parts) -> u64 {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let headers = head.headers.iter();
    let headers = headers
        .map(|(name, value)| header_bytes(name.as_str().as_bytes(), value.as_bytes()))
        .sum::<usize>();
    (target + headers) as u64
}

/// Bytes of memory that a header takes.
pub(crate) fn header_bytes(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + HEADER_BYTES
}
