//! Plain requests of HTTP/1.1, answered without hyper.
//!
//! ```text
//!   socket ──→ Input ─→ Found::find ──→ http::plain ──→ answer::write_head ──→ socket
//!                            │   └─ if not known ─→ http::handle ─┘ │
//!                            └── anything that is not plain ────────┴──→ Rest, for hyper
//! ```
//!
//! A request is plain when it came at once, has one spelling and no options: see [`head`]. Its way
//! through hyper would cost three times as much. The first request that is not plain, or answer that
//! is not, gives the connection to hyper for good, so nothing here has to know how to refuse.

mod again;
mod answer;
mod bytes;
mod date;
mod head;
mod input;
mod request;

use super::exchange::Exchange;
use super::socket::Socket;
use super::state::State;
use crate::boxed::boxed;
use crate::http::plain;
use crate::http::{self, Answer, BoxResponse, Peer};
use crate::server::Shared;
use answer::Frame;
use hyper::Response;
use hyper::header::{CONNECTION, HeaderValue};
use input::{Input, Without};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Most bytes of an answer's body; hyper sends larger ones, in pieces.
const MAX_BODY: usize = 64 << 10;
/// Most bytes of a body that are copied behind the head, to be written with it.
const TOGETHER: usize = 4 << 10;
/// Most requests that are answered in one turn.
const IN_A_ROW: u32 = 16;
/// Most bytes that the room for heads keeps.
const MAX_KEPT: usize = 4 << 10;

/// A connection that goes on with hyper.
pub(super) struct Rest {
    /// Bytes that were read and not answered.
    pub(super) input: Vec<u8>,
    /// The last request's answer, if hyper has to send it.
    pub(super) prepared: Option<Prepared>,
    /// How many requests were taken off the connection.
    pub(super) requests: u64,
}

/// An answer that is there before hyper is asked for it.
pub(super) struct Prepared {
    pub(super) answer: BoxResponse,
    pub(super) exchange: Arc<Exchange>,
}

/// A connection's way through here.
pub(super) struct FastPath<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) peer: &'a Peer,
    pub(super) state: &'a Arc<State>,
    pub(super) socket: &'a mut Socket,
    /// Set when the connection is to end after the request under way.
    pub(super) leaving: &'a AtomicBool,
}

impl FastPath<'_> {
    /// Answers plain requests, the first one from `early` on; `None` when the connection has ended.
    pub(super) async fn serve(self, early: Vec<u8>) -> Option<Rest> {
        let FastPath { shared, peer, state, socket, leaving } = self;
        let mut input = Input::new(early, IN_A_ROW);
        let mut output = Vec::new();
        let (mut requests, mut exchange) = (0, None);
        loop {
            match input.next(socket, state, leaving).await {
                Ok(()) => {}
                Err(Without::Other) => {
                    return Some(Rest { input: input.into(), prepared: None, requests });
                }
                Err(Without::End) => break,
            }
            requests += 1;
            let mut present = Present::new(state, exchange.take());
            let own = present.exchange.clone();
            let (closes, begun) =
                (input.closes(), plain::begin(shared, peer, &own, &input.asked()));
            let answer = match begun {
                Some(begun) => {
                    input.take();
                    let answering = pin!(begun.answer());
                    attend(answering, socket, &mut input, &mut present).await?
                }
                None => {
                    let request = input.request();
                    input.take();
                    let answering = boxed(|| http::handle(shared, peer, &own, request));
                    attend(pin!(answering), socket, &mut input, &mut present).await?
                }
            };
            let closes = closes || leaving.load(Relaxed);
            if !write_head(&answer, closes, &mut output) {
                let answer = if closes { closing(answer) } else { answer };
                let prepared = Some(Prepared { answer, exchange: present.listed() });
                return Some(Rest { input: input.into(), prepared, requests });
            }
            drop(own);
            send(socket, &mut present, &mut output, answer.into_body()).await.ok()?;
            exchange = present.end();
            if closes {
                break;
            }
        }
        let _ = poll_fn(|context| Pin::new(&mut *socket).poll_shutdown(context)).await;
        None
    }
}

/// The request under way. Its exchange is listed once it waits for something; one that never was
/// serves the next request.
struct Present<'a> {
    state: &'a Arc<State>,
    exchange: Arc<Exchange>,
    is_listed: bool,
}

impl<'a> Present<'a> {
    fn new(state: &'a Arc<State>, unused: Option<Arc<Exchange>>) -> Present<'a> {
        let exchange = unused.unwrap_or_else(|| state.unlisted());
        Present { state, exchange, is_listed: false }
    }

    fn list(&mut self) {
        if !std::mem::replace(&mut self.is_listed, true) {
            self.state.list(&self.exchange);
        }
    }

    fn listed(mut self) -> Arc<Exchange> {
        self.list();
        self.exchange
    }

    /// The exchange, if it can be used again.
    fn end(self) -> Option<Arc<Exchange>> {
        if self.is_listed {
            return None;
        }
        self.state.finished_unlisted();
        Some(self.exchange)
    }
}

/// The answer when it is there; `None` if the client leaves before.
async fn attend(
    mut answering: Pin<&mut impl Future<Output = BoxResponse>>,
    socket: &mut Socket,
    input: &mut Input,
    present: &mut Present<'_>,
) -> Option<BoxResponse> {
    poll_fn(|context| {
        if let Poll::Ready(answer) = answering.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        present.list();
        input.poll_left(socket, context).map(|()| None)
    })
    .await
}

/// Writes the head of an answer, if it is plain.
fn write_head(answer: &Response<Answer>, closes: bool, output: &mut Vec<u8>) -> bool {
    let (headers, body) = (answer.headers(), answer.body());
    let frame = Frame { length: body.bytes.len(), closes };
    body.rest.is_none()
        && frame.length <= MAX_BODY
        && answer::write_head(answer.status(), headers, &body.added, frame, output)
}

fn closing(mut answer: BoxResponse) -> BoxResponse {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Sends an answer with its head in `output`, which is empty then.
async fn send(
    socket: &mut Socket,
    present: &mut Present<'_>,
    output: &mut Vec<u8>,
    answer: Answer,
) -> io::Result<()> {
    let Answer { mut bytes, lease, .. } = answer;
    if bytes.len() <= TOGETHER {
        output.extend_from_slice(&bytes);
        bytes.clear();
    }
    let (total, mut sent, mut lease) = (output.len() + bytes.len(), 0, Some(lease));
    poll_fn(|context| {
        while sent < total {
            let written = poll_write(socket, context, [output, &bytes], sent);
            // Next to all answers are taken at once: only the others have a clock.
            if let Some(lease) = lease.take_if(|_| written.is_pending()) {
                present.list();
                present.exchange.answer(lease);
                present.exchange.offer((total - sent) as u64);
            }
            let count = ready!(written)?;
            sent += count;
            if lease.is_none() {
                present.exchange.taken(count as u64);
            }
        }
        Poll::Ready(io::Result::Ok(()))
    })
    .await?;
    output.clear();
    output.shrink_to(MAX_KEPT);
    Ok(())
}

/// Writes some of two pieces, of which so many bytes were written before.
fn poll_write(
    socket: &mut Socket,
    context: &mut Context<'_>,
    [first, second]: [&[u8]; 2],
    sent: usize,
) -> Poll<io::Result<usize>> {
    let (socket, behind) = (Pin::new(socket), sent.saturating_sub(first.len()));
    let (first, second) = (first.get(sent..).unwrap_or_default(), &second[behind..]);
    let written = if second.is_empty() {
        socket.poll_write(context, first)
    } else {
        socket.poll_write_vectored(context, &[IoSlice::new(first), IoSlice::new(second)])
    };
    match ready!(written)? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        count => Poll::Ready(Ok(count)),
    }
}
