//! Answers that are sent while their guest runs.
//!
//! ```text
//!   guest's task ──→ Reply (at most WINDOW) ──→ Replying ──→ hyper ──→ client
//! ```
//!
//! The guest runs in the task of its request until the head of its answer is there, and from then on in
//! a task of its own: nothing that hyper does or leaves keeps it from its turns. A guest that ends
//! before it has to wait is answered like any other, and its failure is a status. One that writes more
//! than the window waits for its client, with its clock stopped: the client's pace is checked instead.

use super::Incoming;
use super::answer::Problem;
use super::arriving::Rest;
use super::body::{self, Answer};
use super::coding;
use super::framing;
use super::invoke::{self, Form, Outcome};
use super::peer::Caller;
use crate::budget::Lease;
use crate::registry::Deployed;
use crate::scheduler::Place;
use crate::server::Shared;
use bytes::Bytes;
use hyper::header::EXPECT;
use hyper::http::response::Parts;
use hyper::{Response, Version};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;
use wfaas_function::{BrokenOff, Exchange, Reply, WINDOW, content_length};

/// A request, and everything that its guest needs.
pub(super) struct Asked<'a> {
    pub(super) exchange: Box<Exchange>,
    pub(super) place: Place,
    pub(super) lease: Lease,
    pub(super) rest: Rest,
    pub(super) body: Incoming,
    pub(super) form: Form,
    pub(super) id: &'a str,
}

/// A guest that runs.
type Work = Pin<Box<dyn Future<Output = Result<Outcome, Problem>> + Send>>;

/// What came first.
enum First {
    Outcome(Result<Outcome, Problem>),
    Head(Parts),
}

/// Has a function answer a request, and begins to send its answer as soon as the head is there.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    deployed: &Arc<Deployed>,
    mut asked: Asked<'_>,
) -> Result<Response<Answer>, Problem> {
    let (reply, id, form) = (Reply::new(), asked.id, asked.form);
    if form.is_head {
        // Nobody gets the body: the guest waits for nobody.
        reply.close();
    } else {
        // What waits in the reply, and as much again on its way; and the encoder's memory.
        let encoder = form.coding.map_or(0, coding::encoder_bytes);
        asked.lease.grow(2 * WINDOW as u64 + encoder).map_err(|_| Problem::too_much())?;
    }
    asked.exchange.reply = Some(reply.clone());
    let mut work = work(shared, caller, deployed, asked);
    let head = match first(&mut work, &reply, form.is_head).await {
        First::Outcome(outcome) => {
            return invoke::respond(shared, caller, deployed, outcome?, form, id).await;
        }
        First::Head(head) => head,
    };
    if !framing::has_content(head.status) {
        reply.close();
        let outcome = work
            .await?
            .map(|answer| answer.map(|answer| Response::from_parts(head, answer.into_body())));
        return invoke::respond(shared, caller, deployed, outcome, form, id).await;
    }
    let left = content_length(&head.headers);
    let task = spawn(shared, deployed, work, Ending(reply.clone()), id.to_owned());
    let rest = Some(Box::new(coding::Rest::Guest(Replying { reply, left, task })));
    let mut response = Response::from_parts(head, Answer { rest, ..Answer::default() });
    invoke::complete_head(&mut response, shared, deployed, form);
    Ok(response)
}

/// Runs the guest, and receives the rest of its request meanwhile.
fn work(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    deployed: &Arc<Deployed>,
    asked: Asked<'_>,
) -> Work {
    let Asked { exchange, place, lease, rest, mut body, form: _, id: _ } = asked;
    let deadline = exchange.deadline;
    let (shared, deployed, http) = (shared.clone(), deployed.clone(), caller.exchange.clone());
    let is_http2 = exchange.request.version() == Version::HTTP_2;
    let expects = exchange.headers().contains_key(EXPECT);
    Box::pin(async move {
        let guest = Box::pin(invoke::guest(deployed.clone(), exchange, lease));
        let run = invoke::run(&shared, &deployed, place, deadline, guest);
        let outcome = rest.receive_during(&mut body, &http, run).await.and_then(|run| run);
        // A client that is still sending has to see the answer, or why there is none.
        if if outcome.is_ok() { !is_http2 } else { !expects } {
            body::discard(&mut body).await;
        }
        outcome
    })
}

/// Polls the guest until it has ended or the head of its answer is there. The head of an answer that
/// nobody reads on is not waited for.
async fn first(work: &mut Work, reply: &Reply, is_head: bool) -> First {
    poll_fn(|context| {
        if let Poll::Ready(outcome) = work.as_mut().poll(context) {
            return Poll::Ready(First::Outcome(outcome));
        }
        if is_head {
            return Poll::Pending;
        }
        reply.poll_head(context).map(First::Head)
    })
    .await
}

/// Breaks a reply off when it is dropped, unless it is complete.
struct Ending(Reply);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.break_off();
    }
}

/// Runs the guest in a task. The lease of its bytes is the task's result.
fn spawn(
    shared: &Arc<Shared>,
    deployed: &Arc<Deployed>,
    work: Work,
    ending: Ending,
    id: String,
) -> JoinHandle<Option<Lease>> {
    let (shared, deployed) = (shared.clone(), deployed.clone());
    tokio::spawn(async move {
        match work.await {
            Ok(Ok(answer)) => {
                ending.0.complete();
                return answer.and_then(|answer| answer.into_body().lease);
            }
            Ok(Err(error)) => {
                drop(ending);
                let _ = invoke::record(&shared, &deployed, error, &id).await;
            }
            Err(problem) => {
                drop(ending);
                let function = deployed.name().as_str();
                tracing::debug!(request = id, function, "an answer broke off: {problem:?}");
            }
        }
        None
    })
}

/// The part of an answer that its guest has not made yet. Dropped before its end, it ends the guest.
#[derive(Debug)]
pub(crate) struct Replying {
    reply: Reply,
    /// Bytes that the head has announced and that did not come yet.
    left: Option<u64>,
    /// Holds the lease of the bytes when the guest has ended.
    task: JoinHandle<Option<Lease>>,
}

impl Replying {
    /// The next bytes; `None` at the end, which is where the head has announced it.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let next = ready!(self.reply.poll_next(context));
        let Some(left) = &mut self.left else { return Poll::Ready(next) };
        Poll::Ready(match next {
            Some(Ok(bytes)) => Some(match left.checked_sub(bytes.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    Ok(bytes)
                }
                None => Err(BrokenOff),
            }),
            None if *left > 0 => Some(Err(BrokenOff)),
            end => end,
        })
    }

    /// Bytes that the head has announced, if it has.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.left
    }
}

impl Drop for Replying {
    fn drop(&mut self) {
        // A guest that is to finish goes on, and must not wait for a client.
        self.reply.close();
        // HTTP/1.1 drops a body at the end that its head has announced: the client has all of it, and
        // the guest may have more to do.
        if self.left != Some(0) {
            self.task.abort();
        }
    }
}
