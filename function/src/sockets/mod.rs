//! Sockets of functions: connections and datagrams to the addresses of their specifications.
//!
//! A [`SocketProvider`], which the server or the command line supplies, opens sockets and looks names up. A function
//! may talk to the addresses that its [`SocketGrant`]s write out, and to those of names that they have: an instance
//! has looked them up before. How many sockets there may be at a time is counted by a [`SocketCount`], which all
//! functions of a tenant share.

mod grant;

pub use grant::{SocketGrant, SocketGrantError};
pub use wfaas_wasi::sockets::{
    Direction, Error as SocketError, Family, LookUp, Result, Socket, SocketOption, Transport,
};

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wfaas_wasi::sockets::Network;

/// Most sockets at the same time that one [`SocketCount`] counts.
pub const MAX_SOCKETS: usize = 256;

/// Most addresses of names that an instance may talk to. The first ones are forgotten.
const MAX_LOOKED_UP: usize = 256;

/// Most addresses of one name.
const MAX_ADDRESSES: usize = 64;

/// Opens sockets, for all functions of a server.
pub trait SocketProvider: fmt::Debug + Send + Sync {
    /// Looks up the addresses of a name, which are those that a guest may talk to.
    fn look_up(&self, name: String) -> LookUp;

    /// Opens a socket, which keeps its place until it is closed.
    ///
    /// # Errors
    /// [`SocketError`].
    fn open(&self, transport: Transport, family: Family, place: Place) -> Result<Box<dyn Socket>>;
}

/// Counts sockets. The clones of one count together.
#[derive(Debug, Clone, Default)]
pub struct SocketCount(Arc<AtomicUsize>);

/// One of the sockets that there may be.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl SocketCount {
    /// Takes a place.
    ///
    /// # Errors
    /// [`SocketError::NewSocketLimit`] if [`MAX_SOCKETS`] are taken.
    pub fn take(&self) -> Result<Place> {
        let more = |count: usize| (count < MAX_SOCKETS).then_some(count + 1);
        match self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Place(self.0.clone())),
            Err(_) => Err(SocketError::NewSocketLimit),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The sockets that one function is granted. The default has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sockets(Option<Arc<Terms>>);

#[derive(Debug)]
struct Terms {
    provider: Arc<dyn SocketProvider>,
    grants: Vec<SocketGrant>,
    count: SocketCount,
}

impl Sockets {
    /// Sockets to the addresses of these grants. There are none without a provider, as while an image is made.
    pub(crate) fn new(
        provider: Option<Arc<dyn SocketProvider>>,
        count: SocketCount,
        grants: &[SocketGrant],
    ) -> Sockets {
        let provider = provider.filter(|_| !grants.is_empty());
        let terms = |provider| Arc::new(Terms { provider, grants: grants.to_vec(), count });
        Sockets(provider.map(terms))
    }

    /// The network of an instance, if there is one.
    pub(crate) fn network(&self) -> Option<Box<dyn Network>> {
        let terms = self.0.clone()?;
        Some(Box::new(Granted { terms, looked_up: Arc::default() }))
    }
}

/// The network of one instance.
struct Granted {
    terms: Arc<Terms>,
    looked_up: Arc<Mutex<LookedUp>>,
}

/// Addresses of names, and the grants that have the name, by their places.
type LookedUp = Vec<(IpAddr, Arc<[usize]>)>;

impl Network for Granted {
    fn look_up(&mut self, name: &str) -> Result<LookUp> {
        let grants = self.terms.grants.iter().enumerate();
        let have = grants.filter(|(_, grant)| grant.has_name(name)).map(|(place, _)| place);
        let have: Arc<[usize]> = have.collect();
        if have.is_empty() {
            return Err(SocketError::AccessDenied);
        }
        let (found, looked_up) =
            (self.terms.provider.look_up(name.to_owned()), self.looked_up.clone());
        Ok(Box::pin(async move {
            let mut addresses = found.await?;
            addresses.truncate(MAX_ADDRESSES);
            let mut known = looked_up.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|(known, grants)| *grants != have || !addresses.contains(known));
            known.extend(addresses.iter().map(|address| (*address, have.clone())));
            let surplus = known.len().saturating_sub(MAX_LOOKED_UP);
            known.drain(..surplus);
            drop(known);
            Ok(addresses)
        }))
    }

    fn allows(&self, transport: Transport, address: SocketAddr) -> bool {
        let grants = &self.terms.grants;
        if grants
            .iter()
            .any(|grant| grant.has_port(transport, address) && grant.has_address(address.ip()))
        {
            return true;
        }
        let known = self.looked_up.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_address = known.iter().filter(|(known, _)| *known == address.ip());
        of_address
            .any(|(_, have)| have.iter().any(|place| grants[*place].has_port(transport, address)))
    }

    fn open(&mut self, transport: Transport, family: Family) -> Result<Box<dyn Socket>> {
        let place = self.terms.count.take()?;
        self.terms.provider.open(transport, family, place)
    }
}

#[cfg(test)]
mod tests;
