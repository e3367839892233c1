//! HTTP: which part answers a request.

mod answer;
mod auth;
mod body;
mod invoke;
mod manage;

pub(crate) use manage::CONFIG_HEADER;

use crate::server::Shared;
use answer::Problem;
use body::Answer;
use hyper::body::Incoming;
use hyper::header::{EXPECT, HeaderValue};
use hyper::{Request, Response};
use rustix::rand::{GetRandomFlags, getrandom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Where management begins. No function has a route below.
const MANAGEMENT: &str = "/v1";

/// Name of the header with a request's id.
const REQUEST_ID: &str = "x-request-id";

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
pub(crate) async fn handle(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Answer> {
    let began = Instant::now();
    let id = shared.ids.next();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (head, mut body) = request.into_parts();
    let expects = head.headers.contains_key(EXPECT);
    let outcome = if is_management(&path) {
        manage::handle(shared, &head, &mut body).await
    } else {
        invoke::handle(shared, head, &mut body, &id).await
    };
    if outcome.is_err() && !expects {
        // A client that is still sending would take the reset of its connection for the answer.
        body::discard(&mut body).await;
    }
    let mut response = outcome.unwrap_or_else(|problem: Problem| problem.into_response(&id));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    tracing::info!(
        request = id,
        %method,
        path,
        status = response.status().as_u16(),
        micros = began.elapsed().as_micros() as u64,
        "answered"
    );
    response
}

fn is_management(path: &str) -> bool {
    path.strip_prefix(MANAGEMENT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
