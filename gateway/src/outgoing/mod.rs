//! Outgoing requests of guests: the [`HttpClient`] of functions, on hyper and rustls.
//!
//! Connections are HTTP/1.1, kept for a while and used again by host. HTTP/2 would have requests of
//! several functions on one connection, where one that does not read its answer holds up the others.
//! Redirects are answers like others: whoever follows them has to be allowed the next host too.

mod address;
mod body;
mod connection;
mod idle;
mod share;
mod sockets;

pub(crate) use share::{Lookups, Share, SharedClient, SharedSockets};

use address::{Private, Reach, Resolver, Unresolved};
use body::{Arriving, Leaving, Progress};
use connection::{Charged, User};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use idle::IdleHosts;
use rustix::process::{Resource, getrlimit};
use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinHandle;
use wfaas_function::{Body, HttpClient, OutgoingError, Sending, Timeouts};

/// Idle connections that are kept for one host, and how long.
const MOST_IDLE: usize = 4;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Most sockets of all guests, whatever the limit of descriptors.
const MOST_SOCKETS: usize = 1 << 16;

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 64 << 10;

/// hyper's client, on connections that go where guests may.
type Hyper = Client<Charged<HttpsConnector<HttpConnector<Resolver>>>, Leaving>;

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
    resolver: Resolver,
    /// Places of sockets.
    sockets: Arc<Semaphore>,
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
        let reach = if private { Reach::All } else { Reach::Public };
        let resolver = Resolver::new(reach, Timeouts::default().connect);
        let (clients, idle) = Default::default();
        let sockets = Arc::new(Semaphore::new(most_sockets()));
        NetworkClient { clients, idle, resolver, sockets, reach, runtime }
    }

    /// A client that trusts these certificates alone.
    pub fn with_roots(runtime: Handle, private: bool, roots: RootCertStore) -> NetworkClient {
        let client = NetworkClient::new(runtime, private);
        let clients = clients(&client.resolver, versions().with_root_certificates(roots));
        NetworkClient { clients: Arc::new(OnceCell::new_with(Some(clients))), ..client }
    }

    /// The client for a request to this URL.
    async fn hyper(&self, url: &Uri) -> Hyper {
        let resolver = &self.resolver;
        let make = || async move {
            let of = resolver.clone();
            let made = tokio::task::spawn_blocking(move || clients(&of, native_roots())).await;
            made.unwrap_or_else(|_| clients(resolver, no_roots()))
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
        let mut answer = std::pin::pin!(ask(hyper, request));
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

/// The head of the answer to a request, whose connection works for it from the moment that it is found.
async fn ask(
    hyper: Hyper,
    mut request: Request<Leaving>,
) -> Result<Response<Incoming>, ClientError> {
    let connection = User::take_over_captured(capture_connection(&mut request));
    let mut answer = std::pin::pin!(hyper.request(request));
    let early = tokio::select! {
        answer = &mut answer => Some(answer),
        () = connection => None,
    };
    let mut answer = match early {
        Some(answer) => answer?,
        None => answer.await?,
    };
    // The request may have been sent again, by another connection.
    User::take_over(answer.extensions_mut());
    Ok(answer)
}

/// TLS with the roots that are trusted.
type Trusting = ConfigBuilder<ClientConfig, WantsClientCert>;

/// Most sockets of all guests: a quarter of this process's descriptors.
fn most_sockets() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 4).map_or(MOST_SOCKETS, |most| most.clamp(1, MOST_SOCKETS))
}

fn clients(resolver: &Resolver, trusting: Trusting) -> Clients {
    let mut connector = HttpConnector::new_with_resolver(resolver.clone());
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Timeouts::default().connect));
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
            .build(Charged(connector.clone()))
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
    fn send(&self, mut request: Request<Body>, timeouts: Timeouts) -> Sending {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if !self.reach.allows_host(&host) {
            return Box::pin(std::future::ready(Err(OutgoingError::Private(host))));
        }
        let share: Share = request.extensions_mut().remove().unwrap_or_default();
        let progress = Progress::default();
        let request = request.map(|body| Leaving::new(body, progress.clone()));
        let request = Leaving::announce(request);
        let sending = self.clone().exchange(request, timeouts, progress);
        let task = Task(self.runtime.spawn(share.within(sending)));
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
