//! How a gateway works.

use crate::limits::ClientLimits;
use crate::openwhisk::ActionHost;
use crate::tenants::TenantTerms;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use wfaas_function::sockets::SocketProvider;
use wfaas_function::stores::StoreBackend;
use wfaas_function::{HttpClient, Limits, Spec};

/// How a gateway works. [`Config::new`] has sensible values for everything but two.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 for any free one.
    pub listen: SocketAddr,
    /// Directory of the store; created if it is not there.
    pub store_dir: PathBuf,
    /// Token that management requests have to bring, for the functions of the tenant `default`. Without
    /// any token they are taken only if `listen` is a loopback address.
    pub token: Option<String>,
    /// Tenants, besides or among them `default`, whose functions have limits, a share of the processor
    /// and a token of their own.
    pub tenants: Vec<TenantTerms>,
    /// Threads of the server, which do its I/O and run guests: those of the runtime that it is run in.
    pub threads: usize,
    /// Most requests to functions at the same time, with those that wait for a thread and those of
    /// suspended guests; more are answered with 503.
    pub max_requests: usize,
    /// Processor time that a guest may use before its thread does I/O and others have their turns; 1 ms
    /// at least.
    pub time_slice: Duration,
    /// Most open connections. For more, those that wait for their clients have to make room.
    pub max_connections: usize,
    /// Most bytes of a request's body.
    pub max_body: u64,
    /// Most bytes of an artifact to deploy.
    pub max_artifact: u64,
    /// Most bytes of bodies and answers in memory at the same time, all requests together.
    pub max_buffered: u64,
    /// Most bytes of the states of all functions' sessions; one tenant has half of them at most.
    pub session_bytes: u64,
    /// Time after which a guest that waits without a stack gives its slot back and is parked, as a delta to its function's
    /// image. The fewer of [`max_slots`](wfaas_vm::Config::max_slots) are left, the sooner. `None` if guests keep their slots.
    pub park_after: Option<Duration>,
    /// Most bytes of the deltas of all parked guests; one tenant has half of them at most.
    pub parked_bytes: u64,
    /// Longest time to receive a request's headers, from their first byte.
    pub header_timeout: Duration,
    /// Longest time to wait for the bytes of a body or an upload. Bytes that come buy more of it,
    /// at the least rate of `clients`, up to as much.
    pub body_timeout: Duration,
    /// Longest time a connection may be open without a request, whatever else arrives on it.
    pub idle_timeout: Duration,
    /// Longest time that requests in flight get to finish at the end.
    pub drain_timeout: Duration,
    /// Whether plain requests of HTTP/1.1 are answered without hyper. Off to compare: all answers are
    /// the same.
    pub fast_path: bool,
    /// Limits that keep clients from taking the server from each other.
    pub clients: ClientLimits,
    /// The lowest layer: what holds for a function whose specification leaves it open.
    pub defaults: Spec,
    /// Has the gateway be a container of OpenWhisk's, or many of them, instead of a server of functions.
    pub actions: Option<Arc<dyn ActionHost>>,
    /// Counter of dropped log records, for health to show. The log of the process counts in it.
    pub dropped_records: Arc<AtomicU64>,
    /// Directories of the host that functions may be given, with those below them.
    pub allowed_dirs: Vec<PathBuf>,
    /// Sends the requests of guests, to the hosts of their functions' specifications; none are sent
    /// without one.
    pub http_client: Option<Arc<dyn HttpClient>>,
    /// Opens the sockets of guests, to the addresses of their functions' specifications; guests have none
    /// without one.
    pub sockets: Option<Arc<dyn SocketProvider>>,
    /// Keeps the values of functions' stores; no operation on them succeeds without one.
    pub stores: Option<Arc<dyn StoreBackend>>,
    /// The VM's configuration.
    pub engine: wfaas_vm::Config,
}

impl Config {
    /// The default configuration, on this address and with this store.
    pub fn new(listen: SocketAddr, store_dir: impl Into<PathBuf>) -> Config {
        Config {
            listen,
            store_dir: store_dir.into(),
            token: None,
            tenants: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            max_requests: 4096,
            time_slice: Duration::from_millis(1),
            max_connections: 1024,
            max_body: 8 << 20,
            max_artifact: 256 << 20,
            max_buffered: 512 << 20,
            session_bytes: 256 << 20,
            park_after: Some(Duration::from_secs(10)),
            parked_bytes: 512 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(15),
            fast_path: true,
            clients: ClientLimits::default(),
            defaults: Spec { limits: Limits::of_server(), ..Spec::default() },
            actions: None,
            dropped_records: Arc::default(),
            allowed_dirs: Vec::new(),
            http_client: None,
            sockets: None,
            stores: None,
            engine: wfaas_vm::Config::default(),
        }
    }
}
