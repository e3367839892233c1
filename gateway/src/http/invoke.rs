//! Requests to functions.

use super::answer::Problem;
use super::body::{self, Answer};
use crate::budget::Lease;
use crate::registry::Deployed;
use crate::server::Shared;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use wfaas_host::{InvokeError, Request, RequestInfo};

/// How much later than its deadline a guest may answer, before its client gets an answer anyway.
const GRACE: Duration = Duration::from_secs(2);

/// Has a function answer a request of any method.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    head: &Parts,
    body: &mut Incoming,
    id: &str,
) -> Result<Response<Answer>, Problem> {
    let path = head.uri.path();
    let deployed = shared
        .deployer
        .registry
        .find(path)
        .ok_or_else(|| Problem::not_found(format!("there is no function at {path}")))?;
    let config = &shared.config;
    let received =
        body::receive(body, config.max_body, config.body_timeout, &shared.buffered).await?;
    let limit = deployed.function.config().limits.time;
    let deadline = Instant::now().checked_add(limit);
    let info = RequestInfo {
        method: head.method.to_string(),
        path: deployed.route.rest(path).to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        id: id.to_owned(),
    };
    let request = Request { body: received.bytes, deadline, info: Some(info) };
    let outcome = run(shared, &deployed, request, deadline).await?;
    respond(&deployed, outcome, id, received.lease)
}

type Outcome = Result<Vec<u8>, InvokeError>;

/// Queues a request for a worker and waits for its outcome.
async fn run(
    shared: &Shared,
    deployed: &Arc<Deployed>,
    request: Request,
    deadline: Option<Instant>,
) -> Result<Outcome, Problem> {
    let (reply, outcome) = oneshot::channel();
    let job_deployed = deployed.clone();
    let job = move || {
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        // A client that has gone needs no answer; late requests get theirs below.
        if !reply.is_closed() && !late {
            let _ = reply.send(job_deployed.function.handle(request));
        }
    };
    shared
        .workers
        .submit(job)
        .map_err(|_| Problem::busy("all workers are busy and the queue is full"))?;
    let outcome = match deadline {
        Some(deadline) => tokio::time::timeout_at((deadline + GRACE).into(), outcome).await,
        None => Ok(outcome.await),
    };
    match outcome {
        Ok(Ok(outcome)) => Ok(outcome),
        // Not run in time, or not stopped in time.
        Ok(Err(_)) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
            Err(time_limit(deployed))
        }
        Err(_) => Err(time_limit(deployed)),
        Ok(Err(_)) => Err(Problem::internal("the server failed")),
    }
}

fn respond(
    deployed: &Deployed,
    outcome: Outcome,
    id: &str,
    lease: Lease,
) -> Result<Response<Answer>, Problem> {
    let function = deployed.name.as_str();
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error @ InvokeError::Deadline(_)) => {
            tracing::warn!(request = id, function, "{error}");
            return Err(time_limit(deployed));
        }
        Err(error) => {
            tracing::error!(request = id, function, "{error}");
            return Err(Problem::internal("the function failed"));
        }
    };
    let Some(answer) = body::leased(answer, lease) else {
        return Err(Problem::busy("too many large answers at the same time"));
    };
    let mut response = Response::new(answer);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, deployed.content_type.clone());
    // What the guest sent is of that type and nothing else, whatever it looks like.
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn time_limit(deployed: &Deployed) -> Problem {
    let limit = deployed.function.config().limits.time;
    let message = format!("the function took longer than {limit:?}");
    Problem::new(StatusCode::GATEWAY_TIMEOUT, message)
}
