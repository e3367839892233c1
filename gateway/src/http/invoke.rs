//! Requests to functions.

use super::answer::Problem;
use super::blocking;
use super::body::{self, Answer};
use super::peer::Caller;
use crate::budget::Lease;
use crate::registry::{Deployed, Registered};
use crate::server::Shared;
use crate::workers::Fate;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use wfaas_function::{Body, Exchange, InvokeError};

/// How much later than its deadline a guest may answer, before its client gets an answer anyway.
const GRACE: Duration = Duration::from_secs(2);

/// Has a function answer a request of any method.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    head: Parts,
    body: &mut Incoming,
    id: &str,
) -> Result<Response<Answer>, Problem> {
    let path = head.uri.path();
    let deployed = find(shared, path).await?;
    let lease = caller.bytes(&deployed, &head)?;
    let received = body::receive(body, shared.config.max_body, lease, caller.exchange).await?;
    let deadline = Instant::now().checked_add(deployed.function.time_limit());
    let route_bytes = path.len() - deployed.route().rest(path).len();
    let request = Request::from_parts(head, Body::complete(received.bytes));
    let (id, exchange) = (id.to_owned(), Exchange::new(request));
    let exchange = Exchange { id: id.clone(), route_bytes, deadline, ..exchange };
    let place = caller.place(&deployed)?;
    let outcome = run(shared, &deployed, exchange, place, received.lease).await?;
    respond(caller, &deployed, outcome, &id)
}

/// The function at a path. One that could not be loaded is tried again, if it is time to.
async fn find(shared: &Arc<Shared>, path: &str) -> Result<Arc<Deployed>, Problem> {
    let failed = match shared.deployer.registry.find(path) {
        Some(Registered::Ready(deployed)) => return Ok(deployed),
        Some(Registered::Failed(failed)) => failed,
        None => return Err(Problem::not_found(format!("there is no function at {path}"))),
    };
    let retried = failed.clone();
    let deployed = match failed.time_left() {
        Duration::ZERO => blocking(shared, move |it| it.deployer.retry(&retried)).await?,
        _ => None,
    };
    deployed.ok_or_else(|| Problem::not_loaded(&failed.info.name, failed.time_left()))
}

/// An answer, or `None` if there is no room for it.
type Outcome = Result<Option<Response<Answer>>, InvokeError>;

/// Queues a request for a worker and waits for its outcome. The request's lease goes with its bytes:
/// when the client has left, to the queue's end or through the worker, whoever frees them last.
async fn run(
    shared: &Shared,
    deployed: &Arc<Deployed>,
    exchange: Exchange,
    place: Lease,
    lease: Lease,
) -> Result<Outcome, Problem> {
    let deadline = exchange.deadline;
    let (reply, outcome) = oneshot::channel();
    let (job_deployed, payer) = (deployed.clone(), place.payer());
    let job = move |fate: Fate| {
        drop(place); // it does not wait any more
        if fate == Fate::MadeRoom {
            let _ = reply.send(None);
            return;
        }
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        // A client that has gone needs no answer; late requests get theirs below.
        if !reply.is_closed() && !late {
            let answer = job_deployed.function.handle(exchange);
            let _ = reply.send(Some(answer.map(|answer| leased(answer, lease))));
        }
    };
    // Dropped with this future, when the client leaves.
    let ticket = shared.workers.submit(payer, job).map_err(|_| Problem::busy_workers())?;
    let outcome = match deadline {
        Some(deadline) => tokio::time::timeout_at((deadline + GRACE).into(), outcome).await,
        None => Ok(outcome.await),
    };
    match outcome {
        Ok(Ok(Some(outcome))) => {
            ticket.redeem();
            Ok(outcome)
        }
        Ok(Ok(None)) => Err(Problem::busy_workers()),
        // Not run in time, or not stopped in time.
        Ok(Err(_)) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
            Err(time_limit(deployed))
        }
        Err(_) => Err(time_limit(deployed)),
        Ok(Err(_)) => Err(Problem::internal("the server failed")),
    }
}

/// The answer with the lease of its bytes and of those of its request.
fn leased(answer: Response<Body>, lease: Lease) -> Option<Response<Answer>> {
    let (head, body) = answer.into_parts();
    let answer = Answer::from(body.into_bytes()).leased(lease).ok()?;
    Some(Response::from_parts(head, answer))
}

fn respond(
    caller: &Caller<'_>,
    deployed: &Deployed,
    outcome: Outcome,
    id: &str,
) -> Result<Response<Answer>, Problem> {
    let function = deployed.name().as_str();
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error @ InvokeError::Deadline(_)) => {
            tracing::warn!(request = id, function, "{error}");
            return Err(time_limit(deployed));
        }
        Err(error) => {
            tracing::error!(request = id, function, "{error}");
            return Err(Problem::of_fault(error.fault(), ""));
        }
    };
    let mut response = answer.ok_or_else(|| caller.refuse(deployed.name()))?;
    let headers = response.headers_mut();
    headers.entry(CONTENT_TYPE).or_insert_with(|| deployed.content_type.clone());
    // What the guest sent is of that type and nothing else, whatever it looks like.
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn time_limit(deployed: &Deployed) -> Problem {
    let limit = deployed.function.time_limit();
    let message = format!("the function took longer than {limit:?}");
    Problem::new(StatusCode::GATEWAY_TIMEOUT, message)
}
