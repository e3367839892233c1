//! How a gateway works.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use wfaas_function::{Limits, Spec};

/// How a gateway works. [`Config::new`] has sensible values for everything but two.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 for any free one.
    pub listen: SocketAddr,
    /// Directory of the store; created if it is not there.
    pub store_dir: PathBuf,
    /// Token that management requests have to bring. Without one they are taken only if `listen`
    /// is a loopback address.
    pub token: Option<String>,
    /// Threads that run guests.
    pub workers: usize,
    /// Most requests that wait for a worker; more are answered with 503.
    pub queue: usize,
    /// Most open connections; more wait to be accepted.
    pub max_connections: usize,
    /// Most bytes of a request's body.
    pub max_body: u64,
    /// Most bytes of an artifact to deploy.
    pub max_artifact: u64,
    /// Most bytes of bodies and answers in memory at the same time, all requests together.
    pub max_buffered: u64,
    /// Longest time to receive a request's headers.
    pub header_timeout: Duration,
    /// Longest time to receive a request's body; of an upload, longest time without any progress.
    pub body_timeout: Duration,
    /// Longest time a connection may be open without a request or any progress.
    pub idle_timeout: Duration,
    /// Longest time that requests in flight get to finish at the end.
    pub drain_timeout: Duration,
    /// The lowest layer: what holds for a function whose specification leaves it open.
    pub defaults: Spec,
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
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            queue: 256,
            max_connections: 1024,
            max_body: 8 << 20,
            max_artifact: 256 << 20,
            max_buffered: 512 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(15),
            defaults: Spec { limits: Limits::of_server(), ..Spec::default() },
            engine: wfaas_vm::Config::default(),
        }
    }
}
