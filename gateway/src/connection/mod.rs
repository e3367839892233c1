//! One connection: HTTP/1.1 or HTTP/2 without TLS, ended by a `signal`.
//!
//! `socket` tells the `state` what moves, and `wire` where in a request the bytes are. Each
//! request is an `exchange`, held by everything that makes its answer or is a part of it; `sending`
//! is the answer's body. `proxy` reads who the client is, if a proxy says so. Plain requests take the
//! `fast_path`, all others hyper's.

mod calm;
mod exchange;
mod fast_path;
mod proxy;
mod sending;
mod signal;
mod socket;
mod state;
mod wire;

pub(crate) use exchange::Exchange;
pub(crate) use state::{Need, State};

use crate::admission::Place;
use crate::boxed::boxed;
use crate::budget::Account;
use crate::http::{self, Incoming, Known, Peer, plain};
use crate::limits::ClientAddress;
use crate::network::Client;
use crate::server::Shared;
use crate::turns::InTurns;
use exchange::Streams;
use fast_path::{FastPath, Rest};
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use proxy::Parsed;
use sending::Sending;
use signal::{End, Receiver};
use socket::Socket;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Most requests of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 128;
/// Most bytes of one request's body that HTTP/2 keeps while they are not taken.
pub(crate) const STREAM_WINDOW: u32 = 256 << 10;
/// Most bytes of a request's headers.
const MAX_HEADERS: usize = 64 << 10;
/// Most bytes that wait in the kernel for a client that does not take them; more wait where they
/// are counted.
const MAX_UNSENT: u32 = 128 << 10;
/// Longest time that a connection without a request gets to say its goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a connection until one side closes it, a clock or another connection ends it, or the
/// server ends.
pub(crate) async fn serve(
    mut stream: TcpStream,
    address: IpAddr,
    shared: Arc<Shared>,
    place: Place,
) {
    set_options(&stream, &shared);
    let state = place.state.clone();
    let mut receiver = state.signal.receiver();
    let early = until(&mut receiver, peer(&mut stream, address, &shared, &place)).await;
    let Ok(Some((peer, early))) = early else { return };
    let payer = peer.account.clone().unwrap_or_else(|| state.account.clone());
    let mut socket = Socket::new(stream, state.clone());
    let connection = Connection { shared, peer, state: &state, payer };
    // Only requests for management are answered on a reserved one, which are not plain.
    let rest = if connection.peer.reserved || !connection.shared.config.fast_path {
        Rest { input: early, prepared: None, requests: 0 }
    } else {
        match connection.answer_plain(&mut receiver, &mut socket, early).await {
            Some(rest) => rest,
            None => return,
        }
    };
    connection.answer_rest(&mut receiver, socket, rest).await;
}

/// A connection that is served, and the one who pays for its turns.
struct Connection<'a> {
    shared: Arc<Shared>,
    peer: Peer,
    state: &'a Arc<State>,
    payer: Arc<Account>,
}

impl Connection<'_> {
    /// Answers plain requests; the first bytes that are none, or nothing if the connection has ended.
    async fn answer_plain(
        &self,
        receiver: &mut Receiver<'_>,
        socket: &mut Socket,
        early: Vec<u8>,
    ) -> Option<Rest> {
        let Connection { shared, peer, state, payer } = self;
        let leaving = AtomicBool::new(false);
        let path = FastPath { shared, peer, state, socket, leaving: &leaving };
        let path = pin!(shared.turns.of(payer, path.serve(early)));
        run(receiver, path, |_| leaving.store(true, Relaxed)).await?
    }

    /// Answers everything that comes, by hyper.
    async fn answer_rest(self, receiver: &mut Receiver<'_>, mut socket: Socket, rest: Rest) {
        let Connection { shared, peer, state, payer } = self;
        let Rest { input, prepared, requests } = rest;
        state.skip_requests(requests);
        state.received(&input);
        let stand_in = prepared.as_ref().map_or(&b""[..], |_| STAND_IN);
        socket.put_back([stand_in, &input].concat());
        let turns = shared.turns.clone();
        let streams = Streams::new(&turns, &payer, shared.config.time_slice);
        let front = Arc::new((shared, peer));
        let builder = builder(streams.clone());
        // Only the first bytes of a connection can be the preface of HTTP/2.
        let builder = if requests > 0 { builder.http1_only() } else { builder };
        let is_taken = Arc::new(AtomicBool::new(prepared.is_none()));
        let (taken, streams) = (is_taken.clone(), &streams);
        let prepared = Cell::new(prepared.map(Box::new));
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let prepared = prepared.take();
            taken.store(true, Relaxed);
            let exchange =
                prepared.as_ref().map_or_else(|| state.begin(), |it| it.exchange.clone());
            if request.version() == Version::HTTP_2 {
                streams.expect(&exchange);
            }
            let (front, request) = (front.clone(), request.map(Incoming::arriving));
            // Boxed: hyper moves the future of a stream five times.
            boxed(|| async move {
                let (shared, peer) = &*front;
                let mut answer = match prepared {
                    Some(prepared) => prepared.answer,
                    None => match plain::begin_typed(shared, peer, &exchange, request) {
                        Ok(begun) => begun.answer().await,
                        // Boxed: most requests need far less memory than it, which the allocator has at hand.
                        Err(request) => {
                            boxed(|| http::handle(shared, peer, &exchange, request)).await
                        }
                    },
                };
                http::insert_added(&mut answer);
                Ok::<_, Infallible>(answer.map(|answer| Sending::new(answer, exchange)))
            })
        });
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        let mut connection = pin!(turns.of(&payer, connection));
        let ended = match before_signals(connection.as_mut(), &is_taken).await {
            Some(output) => Some(output),
            None => run(receiver, connection, |it| it.graceful_shutdown()).await,
        };
        if let Some(Err(error)) = ended {
            tracing::debug!("connection: {error}");
        }
    }
}

/// A request that hyper takes for the one whose answer is prepared.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Lets a connection go on until its prepared answer was taken; its output if it ends before. hyper forgets
/// a request that it has not read when it is told to end, and the stand-in is one.
async fn before_signals<F: Future>(
    mut connection: Pin<&mut InTurns<F>>,
    is_taken: &AtomicBool,
) -> Option<F::Output> {
    poll_fn(|context| {
        if is_taken.load(Relaxed) {
            return Poll::Ready(None);
        }
        let polled = connection.as_mut().poll(context);
        if polled.is_pending() && is_taken.load(Relaxed) {
            return Poll::Ready(None);
        }
        polled.map(Some)
    })
    .await
}

/// The output of a connection's work, or `None` if a signal has ended it. `leave` has it end when it
/// can.
async fn run<F: Future>(
    receiver: &mut Receiver<'_>,
    mut connection: Pin<&mut InTurns<F>>,
    leave: impl Fn(Pin<&mut F>),
) -> Option<F::Output> {
    loop {
        let end = match until(receiver, connection.as_mut()).await {
            Ok(output) => return Some(output),
            Err(End::Overdue(why)) => {
                tracing::debug!("connection closed: {why}");
                return None;
            }
            Err(end) => end,
        };
        leave(connection.as_mut().task());
        if end == End::Leave {
            return tokio::time::timeout(FAREWELL, connection.as_mut()).await.ok();
        }
    }
}

/// The output of a future, or a signal that comes before.
async fn until<F: Future>(receiver: &mut Receiver<'_>, future: F) -> Result<F::Output, End> {
    let mut future = pin!(future);
    poll_fn(|context| match receiver.poll(context) {
        Some(end) => Poll::Ready(Err(end)),
        None => future.as_mut().poll(context).map(Ok),
    })
    .await
}

fn set_options(stream: &TcpStream, shared: &Shared) {
    // Answers are written whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT);
    // What the kernel still holds when the connection has been closed has its time as well.
    let _ = socket.set_tcp_user_timeout(Some(shared.config.clients.send_timeout));
}

fn builder(streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    // Its clock would run between requests as well: the connection's state has a better one.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_header_list_size(MAX_HEADERS as u32);
    builder
}

/// Who the other end is, and the bytes that were read to find out; `None` if the connection is
/// none to serve.
async fn peer(
    stream: &mut TcpStream,
    address: IpAddr,
    shared: &Shared,
    place: &Place,
) -> Option<(Peer, Vec<u8>)> {
    let clients = &shared.config.clients;
    let is_trusted = clients.is_trusted(address);
    let reserved = place.reserved;
    if !is_trusted || clients.client_address != ClientAddress::ProxyProtocol {
        let client = (!is_trusted).then(|| Client::of(address));
        let account = client.map(|client| shared.addresses.of(&client));
        let known = Known::default();
        return Some((Peer { address, client, account, is_trusted, reserved, known }, Vec::new()));
    }
    let limit = place.state.header_timeout();
    let header = tokio::time::timeout(limit, proxy_header(stream)).await.ok().flatten();
    let Some((source, early)) = header else {
        tracing::debug!("connection closed: {address} sends no header of the PROXY protocol");
        return None;
    };
    let known = Known::default();
    let Some(source) = source else {
        let (client, account) = (None, None);
        return Some((Peer { address, client, account, is_trusted, reserved, known }, early));
    };
    let client = Client::of(source);
    if !place.identify(client) {
        return None;
    }
    let account = Some(shared.addresses.of(&client));
    let client = Some(client);
    let peer = Peer { address: source, client, account, is_trusted: false, reserved, known };
    Some((peer, early))
}

/// Reads the header of the PROXY protocol; the client it names, and the bytes after it.
async fn proxy_header(stream: &mut TcpStream) -> Option<(Option<IpAddr>, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(proxy::MAX_HEADER);
    loop {
        match proxy::parse(&bytes) {
            Parsed::Header(length, source) => return Some((source, bytes.split_off(length))),
            Parsed::Invalid => return None,
            Parsed::Incomplete if stream.read_buf(&mut bytes).await.ok()? == 0 => return None,
            Parsed::Incomplete => {}
        }
    }
}
