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
//! The head of a guest that has none of its own is there when it waits.

use super::Incoming;
use super::answer::Problem;
use super::arriving::Rest;
use super::body::{self, Answer, BoxResponse};
use super::coding;
use super::framing;
use super::invoke::{self, Form, Outcome};
use super::known::Target;
use super::peer::Caller;
use super::redirect;
use crate::boxed::boxed;
use crate::budget::Lease;
use crate::registry::Deployed;
use crate::scheduler::{Place, Terms};
use crate::server::Shared;
use bytes::Bytes;
use hyper::header::EXPECT;
use hyper::http::request;
use hyper::http::response::Parts;
use hyper::{HeaderMap, Response, Version};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;
use wfaas_function::{BrokenOff, Exchange, Replies, Reply, WINDOW, content_length};

/// A request, and everything that its guest needs.
pub(super) struct Asked<'a> {
    pub(super) exchange: Box<Exchange>,
    pub(super) place: Place,
    pub(super) lease: Lease,
    pub(super) rest: Rest,
    pub(super) body: Incoming,
    pub(super) form: Form,
    /// The request [again](redirect::again), if its answer may be a local redirect.
    pub(super) again: Option<Box<request::Parts>>,
    pub(super) id: &'a str,
}

/// A guest that runs.
type Work = Pin<Box<dyn Future<Output = Result<Outcome, Problem>> + Send>>;

/// What came first.
pub(super) enum First {
    Outcome(Result<Outcome, Problem>),
    Begun(Begun),
}

/// An answer that has begun.
pub(super) struct Begun {
    head: Parts,
    work: Work,
    reply: Reply,
}

/// Has a function answer a request, and begins to send its answer as soon as the head is there.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    target: &Target,
    mut asked: Asked<'_>,
) -> Result<BoxResponse, Problem> {
    let (reply, id, form, again) = (Reply::new(), asked.id, asked.form, asked.again.take());
    let begins = target.deployed.function.replies() == Replies::Always;
    if form.is_head {
        // Nobody gets the body: the guest waits for nobody.
        if begins { reply.close() } else { reply.close_at_head() }
    } else if begins {
        asked.lease.grow(room(form)).map_err(|_| Problem::too_much())?;
    }
    asked.exchange.reply = Some(reply.clone());
    let mut work = work(shared, caller, &target.deployed, asked);
    let response = match first(&mut work, &reply).await {
        Ok(outcome) => {
            let (deployed, outcome) = (&target.deployed, outcome?);
            invoke::respond(shared, caller, deployed, outcome, form, id).await?
        }
        Err(head) => {
            let begun = Begun { head, work, reply };
            send(shared, caller, target, begun, form, id).await?
        }
    };
    match (redirect::target(response.extensions()).cloned(), again) {
        (Some(path), Some(again)) => {
            drop(response); // and the lease of the request's bytes
            redirect::follow(shared, caller, again, path, id).await
        }
        _ => Ok(response),
    }
}

/// Most bytes that an answer takes while its guest makes it: those that wait in the reply, as many again on
/// their way, and the encoder's memory.
pub(super) fn room(form: Form) -> u64 {
    2 * WINDOW as u64 + form.coding.map_or(0, coding::encoder_bytes)
}

/// Sends an answer that has begun, while its guest goes on. One without a body is sent at its end. If there
/// is no room for the bytes on their way, the guest is ended, and its client told to come back. A client that
/// asked for the head alone has all it wants: to the guest it is one that has left.
pub(super) async fn send(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    target: &Target,
    begun: Begun,
    form: Form,
    id: &str,
) -> Result<BoxResponse, Problem> {
    let (Begun { head, work, reply }, deployed) = (begun, &target.deployed);
    if !framing::has_content(head.status) || redirect::target(&head.extensions).is_some() {
        reply.close();
        let of_head =
            |answer: BoxResponse| Box::new(Response::from_parts(head, answer.into_body()));
        let outcome = work.await?.map(|answer| answer.map(of_head));
        return invoke::respond(shared, caller, deployed, outcome, form, id).await;
    }
    let lease = match deployed.function.replies() {
        Replies::Always => None, // its guest has it
        _ if form.is_head => None,
        _ => Some(caller.more(target, room(form))?),
    };
    let left = content_length(&head.headers);
    let task = spawn(shared, deployed, work, Ending(reply.clone()), id.to_owned());
    let rest = Some(Box::new(coding::Rest::Guest(Replying {
        reply,
        left,
        task,
        sends_trailers: form.takes_trailers,
    })));
    let answer = Answer { rest, lease, ..Answer::default() };
    let mut response = Box::new(Response::from_parts(head, answer));
    invoke::complete_head(&mut response, shared, deployed, form);
    Ok(response)
}

/// Has a guest answer a request that is all there, and is given up when its client leaves. The lease has [room] for
/// its reply.
pub(super) async fn plain(
    shared: &Arc<Shared>,
    deployed: &Arc<Deployed>,
    place: Place,
    mut exchange: Box<Exchange>,
    lease: Lease,
) -> First {
    let reply = Reply::new();
    exchange.reply = Some(reply.clone());
    let terms = Terms { payer: &deployed.payer, place, deadline: exchange.deadline };
    let guest = boxed(|| invoke::guest(deployed.clone(), exchange, lease));
    let mut guest = shared.scheduler.seat(terms, guest);
    match first(&mut guest, &reply).await {
        Ok(outcome) => {
            reply.put_back();
            First::Outcome(outcome.map_err(|why| invoke::unfinished(deployed, why)))
        }
        Err(head) => {
            let deployed = deployed.clone();
            let ended =
                async move { guest.await.map_err(|why| invoke::unfinished(&deployed, why)) };
            First::Begun(Begun { head, work: Box::pin(ended), reply })
        }
    }
}

/// Runs the guest, and receives the rest of its request meanwhile.
fn work(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    deployed: &Arc<Deployed>,
    asked: Asked<'_>,
) -> Work {
    let Asked { exchange, place, lease, rest, mut body, form: _, again: _, id: _ } = asked;
    let deadline = exchange.deadline;
    let (shared, deployed, http) = (shared.clone(), deployed.clone(), caller.exchange.clone());
    let is_http2 = exchange.request.version() == Version::HTTP_2;
    let expects = exchange.headers().contains_key(EXPECT);
    Box::pin(async move {
        let guest = boxed(|| invoke::guest(deployed.clone(), exchange, lease));
        let run = invoke::run(&shared, &deployed, place, deadline, guest);
        let outcome = rest.receive_during(&mut body, &http, run).await.and_then(|run| run);
        // A client that is still sending has to see the answer, or why there is none.
        if if outcome.is_ok() { !is_http2 } else { !expects } {
            body::discard(&mut body).await;
        }
        outcome
    })
}

/// Polls a guest until it has ended, or the head of its answer is there.
async fn first<W: Future + Unpin>(work: &mut W, reply: &Reply) -> Result<W::Output, Parts> {
    poll_fn(|context| {
        if let Poll::Ready(outcome) = Pin::new(&mut *work).poll(context) {
            return Poll::Ready(Ok(outcome));
        }
        reply.poll_head(context).map(Err)
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
    /// Whether the client takes fields behind the body.
    sends_trailers: bool,
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

    /// Takes the fields behind the body, at its end.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.reply.take_trailers().filter(|_| self.sends_trailers)
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
