//! HTTP: which part answers a request.

mod answer;
mod arriving;
mod auth;
mod body;
mod forwarded;
mod host;
mod invoke;
mod manage;
mod metrics;
mod peer;
mod refusals;

pub(crate) use body::Answer;
pub(crate) use manage::CONFIG_HEADER;
pub(crate) use peer::Peer;
pub(crate) use refusals::Refusals;

use crate::connection::Exchange;
use crate::server::Shared;
use answer::Problem;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};
use rustix::rand::{GetRandomFlags, getrandom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Where management begins. No function has a route below.
const MANAGEMENT: &str = "/v1";

/// Name of the header with a request's id.
const REQUEST_ID: &str = "x-request-id";

/// How long an answer takes that says that there is too much to do.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Makes ids for requests: unique in the process, and most likely among processes.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u32,
    next: AtomicU32,
}

impl RequestIds {
    pub(crate) fn new() -> std::io::Result<RequestIds> {
        let mut random = [0; 4];
        getrandom(&mut random[..], GetRandomFlags::empty())?;
        Ok(RequestIds { process: u32::from_le_bytes(random), next: AtomicU32::new(0) })
    }

    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number:08x}", self.process)
    }
}

/// Answers a request, whatever it is.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    peer: &Peer,
    exchange: &Exchange,
    request: Request<Incoming>,
) -> Response<Answer> {
    let began = Instant::now();
    let id = shared.ids.next();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (head, mut body) = request.into_parts();
    let (expects, version) = (head.headers.contains_key(EXPECT), head.version);
    let checked = check(peer, exchange, &head);
    let is_refused = checked.is_err();
    let outcome = match checked {
        Err(problem) => Err(problem),
        Ok(()) if is_management(&path) => {
            let caller = peer.caller(shared, exchange, &head.headers);
            manage::handle(shared, &caller, &head, &mut body).await
        }
        Ok(()) => {
            let caller = peer.caller(shared, exchange, &head.headers);
            let outcome = invoke::handle(shared, &caller, head, &mut body, &id).await;
            if matches!(&outcome, Err(problem) if problem.is_busy()) {
                // Who asks again as soon as there is an answer would keep the server busy with that.
                exchange.await_bytes();
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            outcome
        }
    };
    if outcome.is_err() && !expects {
        // A client that is still sending would take the reset of its connection for the answer.
        body::discard(&mut body).await;
    }
    let mut response = outcome.unwrap_or_else(|problem: Problem| problem.into_response(&id));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if is_refused && version != Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    tracing::info!(
        request = id,
        method = method.as_str(),
        path,
        status = response.status().as_u16(),
        micros = began.elapsed().as_micros() as u64,
        "answered"
    );
    response
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
async fn blocking<R: Send + 'static>(
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

fn is_management(path: &str) -> bool {
    path.strip_prefix(MANAGEMENT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
