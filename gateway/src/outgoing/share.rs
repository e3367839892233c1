//! Shares: whose request it is that is sent. A tenant whose names nobody answers for keeps no other tenant from its
//! own; a function is charged for looking names up, and for the work of its connections.

use crate::scheduler::{Payer, Scheduler};
use hyper::Request;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wfaas_function::sockets::{self, Family, LookUp, Place, Socket, SocketProvider, Transport};
use wfaas_function::{Body, HttpClient, Sending, Timeouts};
use wfaas_vm::thread_processor_time;

/// Most names that are looked up for one tenant at the same time: a quarter of all.
pub(super) const MOST_OF_TENANT: usize = 8;

tokio::task_local! {
    /// Whose request a task sends.
    static SHARE: Share;
}

/// The look-ups of one tenant, whichever function they are for.
#[derive(Debug, Clone)]
pub(crate) struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Lookups {
        Lookups(Arc::new(Semaphore::new(MOST_OF_TENANT)))
    }
}

impl Lookups {
    /// Waits for permission to look up so many names.
    pub(super) async fn permit(self, names: u32) -> Option<OwnedSemaphorePermit> {
        self.0.acquire_many_owned(names).await.ok()
    }
}

/// Whose request it is. The default is nobody's.
#[derive(Clone, Default)]
pub(crate) struct Share {
    pub(super) lookups: Lookups,
    charged: Option<(Arc<Scheduler>, Arc<Payer>)>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payer = self.charged.as_ref().map(|(_, payer)| &payer.name);
        f.debug_struct("Share").field("payer", &payer).finish_non_exhaustive()
    }
}

impl Share {
    /// That of a function, which `scheduler` charges.
    pub(crate) fn of(payer: &Arc<Payer>, scheduler: &Arc<Scheduler>) -> Share {
        let charged = Some((scheduler.clone(), payer.clone()));
        Share { lookups: payer.tenant.lookups.clone(), charged }
    }

    /// The share of the request that the present task sends; a new one if it sends none.
    pub(super) fn present() -> Share {
        SHARE.try_with(Clone::clone).unwrap_or_default()
    }

    /// Does `work` in this share. Tasks that it spawns work for nobody.
    pub(super) async fn within<W: Future>(self, work: W) -> W::Output {
        SHARE.scope(self, work).await
    }

    /// Does `work`, whose processor time the function is charged.
    pub(super) fn charge<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.charged.is_none() {
            return work();
        }
        let began = thread_processor_time();
        let done = work();
        self.charge_time(thread_processor_time().saturating_sub(began));
        done
    }

    /// Charges the function for work that was done.
    pub(super) fn charge_time(&self, took: Duration) {
        if let Some((scheduler, payer)) = &self.charged {
            scheduler.charge(payer, took);
        }
    }
}

/// The client of one function.
#[derive(Debug)]
pub(crate) struct SharedClient {
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) share: Share,
}

impl HttpClient for SharedClient {
    /// The share goes with the request: a client that looks no names up has no use for it.
    fn send(&self, mut request: Request<Body>, timeouts: Timeouts) -> Sending {
        request.extensions_mut().insert(self.share.clone());
        self.client.send(request, timeouts)
    }
}

/// The sockets of one function.
#[derive(Debug)]
pub(crate) struct SharedSockets {
    pub(crate) provider: Arc<dyn SocketProvider>,
    pub(crate) share: Share,
}

impl SocketProvider for SharedSockets {
    fn look_up(&self, name: String) -> LookUp {
        Box::pin(self.share.clone().within(self.provider.look_up(name)))
    }

    fn open(
        &self,
        transport: Transport,
        family: Family,
        place: Place,
    ) -> sockets::Result<Box<dyn Socket>> {
        self.provider.open(transport, family, place)
    }
}
