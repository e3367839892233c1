//! The server: listening, accepting, and ending well.

use crate::admission::Admission;
use crate::budget::{Accounts, Budget, Unit};
use crate::config::Config;
use crate::connection::{self, State};
use crate::deploy::{DeployError, Deployer};
use crate::http::{Refusals, RequestIds};
use crate::network::Client;
use crate::openwhisk::Containers;
use crate::registry::{FunctionInfo, FunctionStatus};
use crate::scheduler::Scheduler;
use crate::store::{Store, StoreError};
use crate::tenants::{TenantError, Tenants};
use crate::turns::Turns;
use crate::upkeep;
use crate::watch::watch;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wfaas_function::{FunctionName, Spec};
use wfaas_vm::Engine;

/// A server that is bound to its address and has loaded its functions.
pub struct Gateway {
    listener: std::net::TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Makes functions of a server reachable, also while it serves.
#[derive(Clone)]
pub struct Installer(Arc<Shared>);

impl Installer {
    /// As [`Gateway::install`]. A request gets the function that there is when it arrives; those in
    /// flight go on with theirs. Blocks while the artifact is loaded.
    ///
    /// # Errors
    /// As [`Gateway::install`].
    pub fn install(
        &self,
        name: FunctionName,
        spec: Spec,
        artifact: &[u8],
    ) -> Result<FunctionInfo, DeployError> {
        self.0.deployer.install(name, spec, artifact)
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The address it listens on.
    pub(crate) address: SocketAddr,
    pub(crate) deployer: Deployer,
    pub(crate) scheduler: Arc<Scheduler>,
    /// Guests that go on though their clients have left.
    pub(crate) finishing: tokio::sync::watch::Sender<usize>,
    pub(crate) turns: Arc<Turns>,
    /// Turns of long work that is done for functions in the background.
    pub(crate) background: Arc<Semaphore>,
    /// Bytes of requests and answers.
    pub(crate) buffered: Budget,
    /// The same of management, so that it has room when functions have none.
    pub(crate) managing: Budget,
    /// Bytes on disk of artifacts that are being deployed.
    pub(crate) staged: Budget,
    /// Places of requests to functions.
    pub(crate) places: Budget,
    pub(crate) addresses: Accounts<Client>,
    pub(crate) functions: Accounts<FunctionName>,
    pub(crate) refusals: Refusals,
    pub(crate) ids: RequestIds,
    /// Those of OpenWhisk, if that is what is served.
    pub(crate) containers: Option<Arc<Containers>>,
}

/// Why a gateway cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Tenants that do not fit together, or a token that no header can carry.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The VM.
    #[error(transparent)]
    Vm(#[from] wfaas_vm::Error),
    /// Threads, or the network.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// Most connections that wait to be accepted; the kernel's own limit is often 4096.
const BACKLOG: i32 = 4096;

/// How long to wait after a connection could not be accepted, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Requests for management have this part of `max_buffered` for themselves, and at least so much.
const MANAGING_SHARE: u64 = 8;
const MANAGING_LEAST: u64 = 1 << 20;

/// So many of the largest artifacts there may be are deployed at the same time.
const MOST_STAGED: u64 = 4;

impl Gateway {
    /// Listens, opens the store and loads the functions in it. Requests are answered once
    /// [`Gateway::run`] is called; until then they wait.
    ///
    /// # Errors
    /// [`GatewayError`] if the address is taken, the store is in use or cannot be read, or the
    /// token is not one.
    pub fn bind(config: Config) -> Result<Gateway, GatewayError> {
        let tenants = Tenants::new(config.token.as_deref(), &config.tenants)?;
        let listen = |source| GatewayError::Listen { address: config.listen, source };
        let listener = std::net::TcpListener::bind(config.listen).map_err(listen)?;
        // Clients that come all at once should not have to try again after a second.
        socket2::SockRef::from(&listener).listen(BACKLOG).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let store = Store::open(&config.store_dir)?;
        let engine = Engine::new(config.engine.clone())?;
        let scheduler = Scheduler::new(config.threads);
        let deployer = Deployer::load(&config, engine, tenants, scheduler.clone(), store)?;
        let ids = RequestIds::new()
            .map_err(|source| GatewayError::Io { what: "asking for random bytes", source })?;
        let buffered = Budget::new(Unit::Byte, config.max_buffered);
        let managing = (config.max_buffered / MANAGING_SHARE).max(MANAGING_LEAST);
        let managing = Budget::new(Unit::Managing, managing);
        let staged = config.max_artifact.saturating_mul(MOST_STAGED);
        let staged = Budget::new(Unit::Staged, staged);
        let places = Budget::new(Unit::Place, config.max_requests as u64);
        let (addresses, functions) = (Accounts::new(), Accounts::new());
        let refusals = Refusals::default();
        let turns = Turns::new(config.threads);
        let finishing = tokio::sync::watch::Sender::new(0);
        let containers = config.actions.clone().map(|host| Arc::new(Containers::new(host)));
        let shared = Shared {
            config,
            address,
            deployer,
            scheduler,
            finishing,
            turns,
            background: Arc::new(Semaphore::new(1)),
            buffered,
            managing,
            staged,
            places,
            addresses,
            functions,
            refusals,
            ids,
            containers,
        };
        Ok(Gateway { listener, address, shared: Arc::new(shared) })
    }

    /// The address it listens on, with the port the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Makes a function reachable without putting it into the store: it is gone after a restart.
    /// A stored function of the same name is hidden until then.
    ///
    /// # Errors
    /// [`DeployError`] if the specification or the artifact does not fit.
    pub fn install(
        &self,
        name: FunctionName,
        spec: Spec,
        artifact: &[u8],
    ) -> Result<FunctionInfo, DeployError> {
        self.shared.deployer.install(name, spec, artifact)
    }

    /// A handle by which functions are made reachable while it serves.
    pub fn installer(&self) -> Installer {
        Installer(self.shared.clone())
    }

    /// The functions, by name: those that can be reached, and those that could not be loaded.
    pub fn functions(&self) -> Vec<FunctionStatus> {
        self.shared.deployer.registry.list(None)
    }

    /// Serves until `shutdown` is ready, then lets requests in flight finish. Has to be called in
    /// a multi-threaded tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`GatewayError::Io`] if the runtime cannot take the listener.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), GatewayError> {
        let listener = TcpListener::from_std(self.listener)
            .map_err(|source| GatewayError::Io { what: "listening", source })?;
        serve(listener, &self.shared, shutdown).await;
        // Functions take a while to unmap, which must not hold up the runtime.
        let _ = tokio::task::spawn_blocking(move || drop(self.shared)).await;
        Ok(())
    }
}

/// Serves until `shutdown` is ready, then lets requests in flight finish.
async fn serve(listener: TcpListener, shared: &Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let config = &shared.config;
    let admission = Arc::new(Admission::new(config));
    let leaving = tokio::sync::watch::Sender::new(false);
    let mut accepting = JoinSet::new();
    accepting.spawn(accept(listener, shared.clone(), admission.clone(), leaving.subscribe()));
    let mut watching = pin!(watch(&admission, config));
    let ended = tokio::select! {
        () = &mut watching => None,
        () = upkeep::keep_up(shared) => None,
        () = shutdown => None,
        ended = accepting.join_next() => ended,
    };
    leaving.send_replace(true);
    let ended = if ended.is_some() { ended } else { accepting.join_next().await };
    let mut connections = match ended {
        Some(Ok(connections)) => connections,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => return,
    };
    admission.states().iter().for_each(|state| state.end());
    let drain = config.drain_timeout;
    let mut finishing = shared.finishing.subscribe();
    let finished = async {
        while connections.join_next().await.is_some() {}
        let _ = finishing.wait_for(|guests| *guests == 0).await;
    };
    let drained = async {
        tokio::select! {
            () = finished => {}
            () = &mut watching => {}
        }
    };
    if tokio::time::timeout(drain, drained).await.is_err() {
        tracing::warn!("requests were still in flight after {drain:?}: they are cut off");
    }
    connections.shutdown().await;
}

/// Connections that are accepted before others have the thread.
const ACCEPTED_AT_ONCE: usize = 8;

/// Accepts connections, and closes those that there is no place for, until the server is `leaving`: the connections that are
/// left. It is a task of its own, on a thread that runs guests: the one that hears of a connection serves it before
/// its next guest. Another thread would hand it over too late for that.
async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    mut leaving: tokio::sync::watch::Receiver<bool>,
) -> JoinSet<()> {
    let config = &shared.config;
    let mut connections = JoinSet::new();
    let mut left = pin!(leaving.wait_for(|leaving| *leaving));
    for number in 1.. {
        while connections.try_join_next().is_some() {}
        if number % ACCEPTED_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut left => return connections,
        };
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                // Descriptors may have run out.
                admission.shed_one();
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
                    _ = &mut left => return connections,
                }
            }
        };
        let client = (!config.clients.is_trusted(address)).then(|| Client::of(address));
        let Some(place) = admission.admit(client, State::new(config)) else {
            tracing::debug!("no place for a connection of {address}");
            continue;
        };
        connections.spawn(connection::serve(stream, address, shared.clone(), place));
    }
    connections
}

/// The runtime to serve in, with [`Config::threads`].
///
/// # Errors
/// If threads or I/O cannot be had.
pub fn runtime(config: &Config) -> std::io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(config.threads.max(1));
    // Threads look for work of their own for long: tasks that other threads wake would wait, with a turn
    // that others could have had.
    builder.enable_all().global_queue_interval(1).build()
}

/// Ready when the process is asked to end, by SIGTERM or SIGINT.
pub async fn termination() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers, the signals end the process as they always do.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
