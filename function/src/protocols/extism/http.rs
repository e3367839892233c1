//! Requests of a plug-in to other servers: one at a time, whole bodies.

use super::KERNEL;
use super::arena::PIECE;
use super::functions::{Host, fault, kernel};
use super::kernel::{Kernel, Received};
use crate::exchange::Body;
use crate::outgoing::{OutgoingError, Sending, Timeouts};
use crate::state::State;
use crate::waiting::{turns, wait};
use http::{HeaderMap, Request, Uri};
use serde::Deserialize;
use std::collections::BTreeMap;
use wfaas_vm::{BoxError, Linker, MaybeFuture};

/// Most bytes of a description: about twice those of the largest head.
const MAX_DESCRIPTION: usize = 128 << 10;

/// The description of a request, in JSON.
#[derive(Deserialize)]
struct Description {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default, alias = "header")]
    headers: BTreeMap<String, String>,
}

/// Defines the functions.
pub(super) fn link(linker: &mut Linker<State>) {
    linker
        .func_wrap_maybe_async(
            KERNEL,
            "http_request",
            |mut caller: Host<'_>, (description, body): (u64, u64)| {
                let limit = kernel(&mut caller).terms.memory;
                match begin(&mut caller, description, body) {
                    Ok((url, sending)) if caller.can_wait() => {
                        MaybeFuture::Future(Box::new(async move {
                            let received = receive(sending, limit).await;
                            take(&mut caller, received).await.map_err(|error| failed(&url, &error))
                        }))
                    }
                    Ok((url, sending)) => {
                        wait(caller, receive(sending, limit), move |caller, received| {
                            take_at_once(caller, received).map_err(|error| failed(&url, &error))
                        })
                    }
                    Err(error) => MaybeFuture::Ready(Err(error)),
                }
            },
        )
        .func_wrap(KERNEL, "http_status_code", |mut caller: Host<'_>| {
            i32::from(kernel(&mut caller).received_status())
        })
        .func_wrap(KERNEL, "http_headers", |mut caller: Host<'_>| {
            kernel(&mut caller).received_headers().map_err(fault)
        });
}

/// Ends the guest: a plug-in has no way to be told.
fn failed(url: &str, reason: &dyn std::fmt::Display) -> BoxError {
    fault(format_args!("http_request to {url}: {reason}"))
}

/// Sends the request; its URL and the way to the answer.
fn begin(
    caller: &mut Host<'_>,
    description: u64,
    body: u64,
) -> Result<(String, Sending), BoxError> {
    let kernel = kernel(caller);
    let (url, request) = request(kernel, description, body)
        .map_err(|reason| fault(format_args!("http_request: {reason}")))?;
    let sending = caller.data_mut().outgoing().send(request, Timeouts::default());
    let sending = sending.map_err(|error| failed(&url, &error))?;
    Ok((url, sending))
}

/// The request of a description and a body, 0 for none.
fn request(
    kernel: &Kernel,
    description: u64,
    body: u64,
) -> Result<(String, Request<Body>), BoxError> {
    let description = kernel.text(description, MAX_DESCRIPTION)?;
    let Description { url, method, headers } = serde_json::from_str(description)?;
    let body = match body {
        0 => Body::default(),
        address => Body::complete(
            kernel.arena.block(address).ok_or("there is no block for the body at this address")?,
        ),
    };
    let uri: Uri = url.parse().map_err(|_| OutgoingError::no_url(&url))?;
    let mut request = Request::builder().uri(uri).method(method.as_deref().unwrap_or("GET"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Ok((url, request.body(body)?))
}

/// Takes an answer, piece by piece; the address of its body, 0 if that is empty.
async fn take(
    caller: &mut Host<'_>,
    received: Result<Received, BoxError>,
) -> Result<u64, BoxError> {
    let mut received = received?;
    let start = kernel(caller).take_received(&mut received)?;
    let mut at = start;
    for piece in received.body.chunks(PIECE) {
        if at > start {
            turns().await;
        }
        kernel(caller).arena.fill(at, piece);
        at += piece.len() as u64;
    }
    Ok(start)
}

/// The same where nobody else has a turn.
fn take_at_once(
    caller: &mut Host<'_>,
    received: Result<Received, BoxError>,
) -> Result<u64, BoxError> {
    let mut received = received?;
    let start = kernel(caller).take_received(&mut received)?;
    kernel(caller).arena.fill(start, &received.body);
    Ok(start)
}

/// Waits for the whole answer, with a body of at most `limit` bytes.
async fn receive(sending: Sending, limit: u64) -> Result<Received, BoxError> {
    let (head, mut body) = sending.await?.into_parts();
    body.collect(limit).await?;
    let headers = joined(&head.headers);
    Ok(Received { status: head.status.as_u16(), headers, body: body.into_bytes() })
}

/// Each header once, with commas between several values (RFC 9110, 5.3).
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let line = joined.entry(name.as_str().to_owned()).or_default();
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(&value);
    }
    joined
}
