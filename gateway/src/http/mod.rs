//! HTTP: which part answers a request.

mod added;
mod answer;
mod arriving;
mod auth;
mod body;
mod coding;
mod forwarded;
mod framing;
mod host;
mod id;
mod incoming;
mod invoke;
mod known;
mod manage;
mod metrics;
mod peer;
pub(crate) mod plain;
mod redirect;
mod refusals;
mod replying;
mod trailing;

pub(crate) use added::{Added, insert_added};
pub(crate) use answer::{Problem, json};
pub(crate) use body::{Answer, BoxResponse, discard, receive};
pub(crate) use coding::Rest;
pub(crate) use host::is_host_value;
pub(crate) use id::RequestIds;
pub(crate) use incoming::Incoming;
pub(crate) use invoke::{Outcome, guest, leased, run};
pub(crate) use known::Known;
pub(crate) use manage::CONFIG_HEADER;
pub(crate) use peer::{Caller, Peer, header_bytes};
pub(crate) use refusals::Refusals;

use crate::connection::Exchange;
use crate::openwhisk;
use crate::server::Shared;
use hyper::body::Body;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Version};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wfaas_function::PlainHead;

/// Where management begins. No function has a route below.
const MANAGEMENT: &str = "/v1";

/// How long an answer takes that says that there is too much to do.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Answers a request, whatever it is.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    peer: &Peer,
    exchange: &Arc<Exchange>,
    request: Request<Incoming>,
) -> BoxResponse {
    let id = shared.ids.next();
    let (head, mut body) = request.into_parts();
    let record = Record::begin(&head);
    let version = head.version;
    let expects = !body.is_end_stream() && head.headers.contains_key(EXPECT);
    let checked = match body {
        // One that is all there has passed, or it would not have come this way.
        Incoming::Complete(_) => Ok(()),
        Incoming::Hyper { .. } => check(peer, exchange, &head),
    };
    let is_refused = checked.is_err();
    let caller = peer.caller(shared, exchange, &head.headers);
    // Futures of seldom cases are boxed, here and below: others have no memory for them. Nor are there
    // more futures in futures than have to be: each level is a copy of what it is given.
    let outcome = match checked {
        Err(problem) => Err(problem),
        Ok(()) if is_management(head.uri.path()) => {
            Box::pin(manage::handle(shared, &caller, &head, &mut body)).await
        }
        Ok(()) if let Some(containers) = &shared.containers => {
            let answering =
                openwhisk::handle(shared, containers, &caller, head, &mut body, id.as_str());
            Ok(Box::pin(answering).await)
        }
        Ok(()) => {
            let outcome = invoke::handle(shared, &caller, head, &mut body, id.as_str()).await;
            if matches!(&outcome, Err(problem) if problem.is_busy()) {
                Box::pin(pause(exchange)).await;
            }
            outcome
        }
    };
    let mut response = match outcome {
        Ok(response) => response,
        Err(problem) => {
            if !expects {
                // A client that is still sending would take the reset of its connection for the
                // answer.
                Box::pin(body::discard(&mut body)).await;
            }
            problem.into_response(id.as_str())
        }
    };
    response.body_mut().added.id = Some(id);
    if is_refused && version != Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(record) = record {
        record.end(id.as_str(), response.status());
    }
    response
}

/// Waits before a client is told that there is too much to do: one that asks again as soon as there is an
/// answer would keep the server busy with that.
async fn pause(exchange: &Exchange) {
    exchange.await_bytes();
    tokio::time::sleep(BUSY_PAUSE).await;
}

/// The record of a request, for a log that takes it.
struct Record {
    began: Instant,
    method: Method,
    path: Box<str>,
}

impl Record {
    fn begin(head: &Parts) -> Option<Record> {
        let record = |began| {
            let path = head.uri.path().into();
            Record { began, method: head.method.clone(), path }
        };
        Record::began().map(record)
    }

    /// The record of a request with a plain head.
    fn begin_plain(head: &PlainHead, path: &[u8]) -> Option<Record> {
        let record = |began| {
            let method = head.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
            let method = Method::from_bytes(method).unwrap_or_default();
            Record { began, method, path: String::from_utf8_lossy(path).into() }
        };
        Record::began().map(record)
    }

    /// The present moment, if the log takes records.
    fn began() -> Option<Instant> {
        tracing::enabled!(tracing::Level::INFO).then(Instant::now)
    }

    fn end(self, id: &str, status: StatusCode) {
        tracing::info!(
            request = id,
            method = self.method.as_str(),
            path = &*self.path,
            status = status.as_u16(),
            micros = self.began.elapsed().as_micros() as u64,
            "answered"
        );
    }
}

/// Refuses a request for how it was sent. Its connection is not used again.
fn check(peer: &Peer, exchange: &Exchange, head: &Parts) -> Result<(), Problem> {
    if exchange.bare_line_feed {
        let message = "a line of the request does not end with a carriage return and a line feed";
        return Err(Problem::new(StatusCode::BAD_REQUEST, message));
    }
    host::check(head)?;
    if peer.reserved && !is_management(head.uri.path()) {
        return Err(Problem::busy("there are too many connections"));
    }
    Ok(())
}

/// Runs what blocks where that stalls nobody. It goes on to its end even if the client leaves.
pub(crate) async fn blocking<R: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> R + Send + 'static,
) -> Result<R, Problem> {
    let shared = shared.clone();
    let done = tokio::task::spawn_blocking(move || work(&shared)).await;
    done.map_err(|error| {
        tracing::error!("work for a request panicked: {error}");
        Problem::internal("the server failed")
    })
}

/// Whether a path is one of management's.
pub(crate) fn is_management(path: &str) -> bool {
    path.strip_prefix(MANAGEMENT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
