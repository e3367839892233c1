//! Outgoing requests of guests: the [`HttpClient`] of functions, on hyper and rustls.
//!
//! Connections are HTTP/1.1, kept for a while and used again by host. HTTP/2 would have requests of
//! several functions on one connection, where one that does not read its answer holds up the others.
//! Redirects are answers like others: whoever follows them has to be allowed the next host too.

mod address;
mod body;
mod idle;

use address::{Private, Reach, Resolver, Unresolved};
use body::{Arriving, Leaving, Progress};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use idle::IdleHosts;
use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use wfaas_function::{Body, HttpClient, OutgoingError, Sending, Timeouts};

/// Idle connections that are kept for one host, and how long.
const MOST_IDLE: usize = 4;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 64 << 10;

/// hyper's client, on connections that go where guests may.
type Hyper = Client<HttpsConnector<HttpConnector<Resolver>>, Leaving>;

/// One client keeps idle connections, the other closes each after its request.
#[derive(Clone)]
struct Clients {
    keeping: Hyper,
    closing: Hyper,
}

/// Sends requests from tasks of a runtime, whoever waits for them.
#[derive(Clone)]
pub struct NetworkClient {
    /// Made for the first request: certificates are many.
    clients: Arc<OnceCell<Clients>>,
    idle: Arc<IdleHosts>,
    reach: Reach,
    runtime: Handle,
}

impl fmt::Debug for NetworkClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkClient").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl NetworkClient {
    /// A client that trusts the certificates that this system does, or those of `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`. `private` lets it connect to private networks and this machine, too.
    pub fn new(runtime: Handle, private: bool) -> NetworkClient {
        NetworkClient::of(Arc::default(), reach(private), runtime)
    }

    /// A client that trusts these certificates alone.
    pub fn with_roots(runtime: Handle, private: bool, roots: RootCertStore) -> NetworkClient {
        let reach = reach(private);
        let clients = clients(reach, versions().with_root_certificates(roots));
        NetworkClient::of(Arc::new(OnceCell::new_with(Some(clients))), reach, runtime)
    }

    fn of(clients: Arc<OnceCell<Clients>>, reach: Reach, runtime: Handle) -> NetworkClient {
        NetworkClient { clients, idle: Arc::default(), reach, runtime }
    }

    /// The client for a request to this URL.
    async fn hyper(&self, url: &Uri) -> Hyper {
        let reach = self.reach;
        let make = || async move {
            let made = tokio::task::spawn_blocking(move || clients(reach, native_roots())).await;
            made.unwrap_or_else(|_| clients(reach, no_roots()))
        };
        let Clients { keeping, closing } = self.clients.get_or_init(make).await;
        let host = format!("{:?} {:?}", url.scheme_str(), url.authority());
        if self.idle.keep(host, Instant::now()) { keeping.clone() } else { closing.clone() }
    }

    /// Sends the request and waits for the head of its answer, as long as bytes of its body leave.
    async fn exchange(
        self,
        request: Request<Leaving>,
        timeouts: Timeouts,
        progress: Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let hyper = self.hyper(request.uri()).await;
        let request = Leaving::insist(request).await;
        let mut answer = std::pin::pin!(hyper.request(request));
        let mut patience = timeouts.connect.saturating_add(timeouts.first_byte);
        loop {
            let before = progress.bytes();
            match tokio::time::timeout(patience, &mut answer).await {
                Ok(answer) => return answer.map_err(Failure::Client),
                Err(_) if progress.bytes() == before => return Err(Failure::Timeout(patience)),
                Err(_) => patience = timeouts.first_byte,
            }
        }
    }
}

fn reach(private: bool) -> Reach {
    if private { Reach::All } else { Reach::Public }
}

/// TLS with the roots that are trusted.
type Trusting = ConfigBuilder<ClientConfig, WantsClientCert>;

fn clients(reach: Reach, trusting: Trusting) -> Clients {
    let patience = Timeouts::default().connect;
    let mut connector = HttpConnector::new_with_resolver(Resolver::new(reach, patience));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(patience));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(trusting.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let client = |most_idle: usize| {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(most_idle)
            .http1_max_buf_size(MAX_HEAD)
            .build(connector.clone())
    };
    Clients { keeping: client(MOST_IDLE), closing: client(0) }
}

fn native_roots() -> Trusting {
    versions().with_native_roots().unwrap_or_else(|error| {
        tracing::warn!("requests of guests to https:// will fail: {error}");
        no_roots()
    })
}

fn no_roots() -> Trusting {
    versions().with_root_certificates(RootCertStore::empty())
}

/// TLS 1.2 and 1.3, whatever else in this process has chosen.
fn versions() -> ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.expect("the provider has suites for these versions")
}

impl HttpClient for NetworkClient {
    fn send(&self, request: Request<Body>, timeouts: Timeouts) -> Sending {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if !self.reach.allows_host(&host) {
            return Box::pin(std::future::ready(Err(OutgoingError::Private(host))));
        }
        let progress = Progress::default();
        let request = request.map(|body| Leaving::new(body, progress.clone()));
        let request = Leaving::announce(request);
        let sending = self.clone().exchange(request, timeouts, progress);
        let task = Task(self.runtime.spawn(sending));
        let runtime = self.runtime.clone();
        Box::pin(async move {
            let answer = task.await?.map_err(|error| named(error, host))?;
            Ok(answer.map(|body| Arriving::body(body, timeouts.between_bytes, runtime)))
        })
    }
}

/// Why there is no answer.
enum Failure {
    Client(ClientError),
    Timeout(Duration),
}

/// A failure in the words of functions.
fn named(failure: Failure, host: String) -> OutgoingError {
    let error = match failure {
        Failure::Timeout(after) => return OutgoingError::Timeout(after),
        Failure::Client(error) => error,
    };
    if source::<Private>(&error).is_some() {
        return OutgoingError::Private(host);
    }
    let reason = innermost(&error);
    if source::<Unresolved>(&error).is_some() {
        return OutgoingError::Resolve { host, reason };
    }
    match error.is_connect() {
        true => OutgoingError::Connect { host, reason },
        false => OutgoingError::Broken(reason),
    }
}

/// The error of type `E` that is behind another one.
fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error: &'a (dyn Error + 'static)| {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        error.downcast_ref().or_else(|| inside?.downcast_ref())
    })
}

/// What went wrong in the end: errors before it say where that was.
fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and those behind it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let source = |error: &&'a (dyn Error + 'static)| (*error).source();
    std::iter::successors(Some(error), source)
}

/// A task that ends with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = Result<T, OutgoingError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let ended = std::pin::Pin::new(&mut self.0).poll(context);
        ended.map(|ended| ended.map_err(|error| OutgoingError::Broken(error.to_string())))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
