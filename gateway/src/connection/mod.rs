//! One connection: HTTP/1.1 or HTTP/2 without TLS, ended by its state's clocks.
//!
//! `socket` tells the `state` what moves, and `wire` where in a request the bytes are. Each
//! request is an `exchange`, held by everything that makes its answer or is a part of it; `sending`
//! is the answer's body. `proxy` reads who the client is, if a proxy says so.

mod exchange;
mod proxy;
mod sending;
mod socket;
mod state;
mod wire;

pub(crate) use exchange::Exchange;
pub(crate) use state::{Need, State};

use crate::admission::Place;
use crate::http::{self, Peer};
use crate::limits::ClientAddress;
use crate::network::Client;
use crate::server::Shared;
use exchange::Streams;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use proxy::Parsed;
use sending::Sending;
use socket::Socket;
use state::End;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

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
    mut ending: watch::Receiver<bool>,
) {
    set_options(&stream, &shared);
    let state = place.state.clone();
    let early = tokio::select! {
        early = peer(&mut stream, address, &shared, &place) => early,
        () = state.is_shed() => return,
        _ = ending.wait_for(|ending| *ending) => return,
    };
    let Some((peer, early)) = early else { return };
    let payer = peer.client.map(|client| shared.addresses.of(&client));
    let payer = payer.unwrap_or_else(|| state.account.clone());
    let (peer, streams) = (Arc::new(peer), Streams::new(&shared.turns, &payer));
    let io = TokioIo::new(Socket::new(stream, early, state.clone()));
    let builder = builder(streams.clone());
    let service = service_fn(|request: Request<Incoming>| {
        let exchange = state.begin();
        if request.version() == Version::HTTP_2 {
            streams.expect(&exchange);
        }
        let (shared, peer) = (shared.clone(), peer.clone());
        async move {
            let response = http::handle(&shared, &peer, &exchange, request).await;
            Ok::<_, Infallible>(response.map(|answer| Sending::new(answer, exchange)))
        }
    });
    let connection = builder.serve_connection(io, service);
    let mut connection = pin!(shared.turns.of(&payer, connection));
    let mut told = false;
    loop {
        let leave = tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!("connection: {error}");
                }
                return;
            }
            end = state.overdue() => match end {
                End::Idle => true,
                End::Overdue(why) => {
                    tracing::debug!("connection closed: {why}");
                    return;
                }
            },
            () = state.is_shed() => true,
            _ = ending.wait_for(|ending| *ending), if !told => false,
        };
        connection.as_mut().task().graceful_shutdown();
        told = true;
        if leave {
            let _ = tokio::time::timeout(FAREWELL, connection.as_mut()).await;
            return;
        }
    }
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
        return Some((Peer { address, client, is_trusted, reserved }, Vec::new()));
    }
    let limit = place.state.header_timeout();
    let header = tokio::time::timeout(limit, proxy_header(stream)).await.ok().flatten();
    let Some((source, early)) = header else {
        tracing::debug!("connection closed: {address} sends no header of the PROXY protocol");
        return None;
    };
    let Some(source) = source else {
        return Some((Peer { address, client: None, is_trusted, reserved }, early));
    };
    let client = Client::of(source);
    if !place.identify(client) {
        return None;
    }
    let peer = Peer { address: source, client: Some(client), is_trusted: false, reserved };
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
