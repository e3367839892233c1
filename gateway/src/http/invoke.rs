//! Requests to functions.

use super::Incoming;
use super::added::insert_own;
use super::answer::Problem;
use super::arriving::{self, Arriving};
use super::blocking;
use super::body::{self, Answer, BoxResponse};
use super::coding;
use super::framing;
use super::peer::Caller;
use super::redirect;
use super::replying;
use super::trailing;
use crate::boxed::boxed;
use crate::budget::Lease;
use crate::clock;
use crate::registry::{Deployed, Registered};
use crate::scheduler::{Place, Terms, Unfinished};
use crate::server::Shared;
use hyper::body::Body as _;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wfaas_function::{Body, Coding, Exchange, InvokeError, OnDisconnect, PlainFields, Replies};

/// Has a function answer a request of any method.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    head: Parts,
    body: &mut Incoming,
    id: &str,
) -> Result<BoxResponse, Problem> {
    let path = head.uri.path();
    let changes = shared.deployer.registry.changes();
    let target = match caller.known(path.as_bytes(), changes) {
        Some(target) => target,
        None => caller.learn(path, changes, Box::pin(find(shared, path)).await?),
    };
    let deployed = &target.deployed;
    redirect::check(&head, &deployed.info.tenant)?;
    let lease = caller.bytes(&target, &head)?;
    let (limit, streams) = (shared.config.max_body, deployed.function.reads_streams());
    let arriving = if body.is_end_stream() {
        Arriving::nothing(lease)
    } else {
        Box::pin(arriving::begin(body, limit, lease, caller.exchange, streams)).await?
    };
    let Arriving { body: bytes, lease, rest } = arriving;
    let own = clock::now().checked_add(deployed.function.time_limit());
    let deadline = redirect::deadline(&head, own);
    let version = head.version;
    let form = Form::of(&head, deployed);
    let redirects = deployed.function.redirects();
    let again = redirects.then(|| redirect::again(&head, &deployed.info.tenant, deadline));
    let mut exchange = Box::new(Exchange::new(Request::from_parts(head, bytes)));
    (exchange.id, exchange.deadline) = (id.into(), deadline);
    exchange.route_bytes = target.route_bytes;
    (exchange.client, exchange.server) = (Some(caller.address), Some(shared.address));
    let place = caller.place(&target)?;
    if deployed.function.replies() != Replies::Never {
        let body = body.take();
        let asked = replying::Asked { exchange, place, lease, rest, body, form, again, id };
        return Box::pin(replying::handle(shared, caller, &target, asked)).await;
    }
    let guest = boxed(|| guest(deployed.clone(), exchange, lease));
    let run = run(shared, deployed, place, deadline, guest);
    let outcome = if rest.is_over() {
        run.await?
    } else {
        Box::pin(rest.receive_during(body, caller.exchange, run)).await??
    };
    if version != Version::HTTP_2 && !body.is_end_stream() {
        // As for refusals: a client that is still sending has to see the answer.
        Box::pin(body::discard(body)).await;
    }
    respond(shared, caller, deployed, outcome, form, id).await
}

/// What a request says about the form of its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Whether it is about the head alone.
    pub(super) is_head: bool,
    /// The content coding that it gets, of those that the function may have.
    pub(super) coding: Option<Coding>,
    /// Whether its client takes fields behind the body.
    pub(super) takes_trailers: bool,
}

impl Form {
    fn of(head: &Parts, deployed: &Deployed) -> Form {
        let offered = &deployed.function.spec().compress;
        let coding = if offered.is_empty() { None } else { coding::choose(&head.headers, offered) };
        let takes_trailers = trailing::are_taken(head);
        Form { is_head: head.method == Method::HEAD, coding, takes_trailers }
    }
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
pub(crate) type Outcome = Result<Option<BoxResponse>, InvokeError>;

/// Runs the function, inline. When the client leaves, this is dropped, and the guest with it, unless
/// it is to finish: then it runs in a task of its own.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    deployed: &Arc<Deployed>,
    place: Place,
    deadline: Option<Instant>,
    guest: Pin<Box<impl Future<Output = Outcome> + Send + 'static>>,
) -> Result<Outcome, Problem> {
    let outcome = if deployed.function.spec().on_disconnect == Some(OnDisconnect::Finish) {
        let deployed = deployed.clone();
        Box::pin(finish(shared, deployed, place, deadline, guest)).await
    } else {
        let terms = Terms { payer: &deployed.payer, place, deadline };
        shared.scheduler.run(terms, guest).await
    };
    outcome.map_err(|why| unfinished(deployed, why))
}

/// The problem of a guest that did not run to its end.
pub(super) fn unfinished(deployed: &Deployed, why: Unfinished) -> Problem {
    match why {
        Unfinished::MadeRoom => Problem::busy_server(),
        Unfinished::Late => time_limit(deployed),
        Unfinished::Panicked => {
            tracing::error!(function = deployed.name().as_str(), "a request's guest panicked");
            Problem::internal("the server failed")
        }
    }
}

/// Runs the function in a task of its own.
async fn finish(
    shared: &Arc<Shared>,
    deployed: Arc<Deployed>,
    place: Place,
    deadline: Option<Instant>,
    guest: Pin<Box<impl Future<Output = Outcome> + Send + 'static>>,
) -> Result<Outcome, Unfinished> {
    let finishing = Finishing::new(shared);
    let task = async move {
        let terms = Terms { payer: &deployed.payer, place, deadline };
        finishing.0.scheduler.run(terms, guest).await
    };
    tokio::spawn(task).await.unwrap_or(Err(Unfinished::Panicked))
}

/// The guest's answer. The request's lease goes with its bytes.
pub(crate) async fn guest(
    deployed: Arc<Deployed>,
    exchange: Box<Exchange>,
    lease: Lease,
) -> Outcome {
    match &deployed.sessions {
        None => {
            let exchange = deployed.function.answer_async(exchange).await?;
            Ok(leased(exchange.answer, exchange.plain_fields, lease))
        }
        // Boxed: few functions have any.
        Some(sessions) => Box::pin(sessions.answer(&deployed.function, exchange, lease)).await,
    }
}

/// A guest that goes on though its client has left, as far as the server's end waits for it.
struct Finishing(Arc<Shared>);

impl Finishing {
    fn new(shared: &Arc<Shared>) -> Finishing {
        shared.finishing.send_modify(|guests| *guests += 1);
        Finishing(shared.clone())
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        self.0.finishing.send_modify(|guests| *guests -= 1);
    }
}

/// The answer with the lease of its bytes and of those of its request; `None` if there is no room for it.
pub(crate) fn leased(
    answer: Response<Body>,
    own: PlainFields,
    lease: Lease,
) -> Option<BoxResponse> {
    let (head, body) = answer.into_parts();
    // With the room there first, it is made where it stays.
    let room = Box::new_uninit();
    let mut answer = Answer::from(body.into_bytes()).leased(lease).ok()?;
    answer.added.own = own;
    Some(Box::write(room, Response::from_parts(head, answer)))
}

/// The response to an outcome, or the problem that it is.
pub(super) async fn respond(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    deployed: &Arc<Deployed>,
    outcome: Outcome,
    form: Form,
    id: &str,
) -> Result<BoxResponse, Problem> {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => {
            let problem = match &error {
                InvokeError::Deadline(_) => time_limit(deployed),
                InvokeError::CpuLimit(_) => cpu_limit(deployed),
                InvokeError::Head(_) => invalid_head(),
                InvokeError::Request(why) => {
                    return Err(Problem::new(StatusCode::BAD_REQUEST, why));
                }
                error => Problem::of_fault(error.fault(), ""),
            };
            Box::pin(record(shared, deployed, error, id)).await?;
            return Err(problem);
        }
    };
    let mut response = answer.ok_or_else(|| caller.refuse(deployed.name()))?;
    complete_head(&mut response, shared, deployed, form);
    Ok(response)
}

/// Adds to an answer's head what the guest left open.
pub(super) fn complete_head(
    response: &mut Response<Answer>,
    shared: &Arc<Shared>,
    deployed: &Deployed,
    form: Form,
) {
    let compresses = !deployed.function.spec().compress.is_empty();
    if form.is_head || form.takes_trailers || compresses {
        insert_own(response);
    }
    framing::fit(response, form.is_head);
    if form.takes_trailers && framing::has_content(response.status()) && !form.is_head {
        trailing::fit(response);
    }
    if compresses && !form.is_head {
        coding::apply(response, form.coding, shared, &deployed.payer);
    }
    if framing::has_content(response.status()) {
        response.body_mut().added.content_type = Some(deployed.content_type.clone());
    }
}

/// Writes the record of a guest that failed. The lines of a backtrace take long to look up: that holds no
/// thread of the server, is done for one guest at a time, and is charged to the function.
pub(super) async fn record(
    shared: &Arc<Shared>,
    deployed: &Arc<Deployed>,
    error: InvokeError,
    id: &str,
) -> Result<(), Problem> {
    let (deployed, id) = (deployed.clone(), id.to_owned());
    let write = move |shared: &Shared| {
        let began = Instant::now();
        let function = deployed.name().as_str();
        match &error {
            InvokeError::Deadline(_) | InvokeError::CpuLimit(_) => {
                tracing::warn!(request = id, function, "{error}");
            }
            _ => tracing::error!(request = id, function, "{error}"),
        }
        shared.scheduler.charge(&deployed.payer, began.elapsed());
    };
    let turn = shared.background.clone().acquire_owned().await;
    blocking(shared, move |shared| {
        let _turn = turn;
        write(shared);
    })
    .await
}

fn invalid_head() -> Problem {
    let message = "the function's answer has a head that cannot be sent";
    Problem::new(StatusCode::BAD_GATEWAY, message)
}

fn cpu_limit(deployed: &Deployed) -> Problem {
    let limit = deployed.function.cpu_limit().unwrap_or_default();
    let message = format!("the function used more than {limit:?} of processor time");
    Problem::new(StatusCode::GATEWAY_TIMEOUT, message)
}

fn time_limit(deployed: &Deployed) -> Problem {
    let limit = deployed.function.time_limit();
    let message = format!("the function took longer than {limit:?}");
    Problem::new(StatusCode::GATEWAY_TIMEOUT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the future that a function of five parameters returns.
    fn future_bytes<A, B, C, D, E, F: Future>(_: impl FnOnce(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_request_stays_small() {
        // Whoever holds it moves all of it.
        let bytes = future_bytes(handle);
        assert!(bytes <= 1280, "{bytes} bytes");
    }
}
