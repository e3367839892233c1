//! Plain requests to functions that their connection knows: the way of most requests.
//!
//! It comes to the same as [`handle`](super::handle). Everything that can go another way than usual is
//! left to that before anything was done, or to [`seldom`] when the guest has ended.

use super::Record;
use super::answer::Problem;
use super::body::Answer;
use super::id::RequestId;
use super::invoke::{self, Form, Outcome};
use super::peer::{Caller, Peer};
use crate::budget::Lease;
use crate::clock;
use crate::connection;
use crate::registry::Deployed;
use crate::scheduler::{Place, Terms, Unfinished};
use crate::server::Shared;
use hyper::Response;
use std::ops::Range;
use std::sync::Arc;
use wfaas_function::{Body, Exchange, PlainHead, Request};

/// A plain request, in bytes that were checked.
pub(crate) struct Asked<'a> {
    /// A [`PlainHead`](wfaas_function::PlainHead).
    pub(crate) head: &'a [u8],
    /// The place of the target in it.
    pub(crate) target: Range<usize>,
    pub(crate) body: &'a [u8],
    /// Bytes of memory that the head takes.
    pub(crate) memory: u64,
}

/// A request that has everything its guest needs.
pub(crate) struct Begun<'a> {
    shared: &'a Arc<Shared>,
    caller: Caller<'a>,
    deployed: Arc<Deployed>,
    place: Place,
    lease: Lease,
    exchange: Box<Exchange>,
    id: RequestId,
    record: Option<Record>,
}

/// A plain request's form of answer: it is not about the head alone, and gets no content coding.
const FORM: Form = Form { is_head: false, coding: None };

/// Begins a request; `None` for one that is not to a function its connection knows, or cannot be answered
/// at once.
pub(crate) fn begin<'a>(
    shared: &'a Arc<Shared>,
    peer: &'a Peer,
    http: &'a Arc<connection::Exchange>,
    asked: &Asked<'_>,
) -> Option<Begun<'a>> {
    let Asked { head, body, memory, .. } = *asked;
    let path = path(head.get(asked.target.clone())?)?;
    if shared.containers.is_some() || body.len() as u64 > shared.config.max_body {
        return None;
    }
    let caller = peer.plain_caller(shared, http)?;
    let target = caller.known(path, shared.deployer.registry.changes())?;
    if !target.deployed.is_plain {
        return None;
    }
    let mut lease = caller.lease(&target, memory).ok()?;
    lease.grow(body.len() as u64).ok()?;
    let place = caller.free_place(&target)?;
    let deployed = target.deployed;
    let (id, record) = (shared.ids.next(), Record::begin_plain(head, path));
    let head = PlainHead::new(head, asked.target.clone());
    let request = Request::of_plain(head, Body::complete(body));
    let mut exchange = Box::new(Exchange::of(request));
    exchange.id = id.as_str().into();
    exchange.route_bytes = path.len() - deployed.route().rest(path).len();
    exchange.deadline = clock::now().checked_add(deployed.function.time_limit());
    (exchange.client, exchange.server) = (Some(caller.address), Some(shared.address));
    Some(Begun { shared, caller, deployed, place, lease, exchange, id, record })
}

/// The path of a target.
fn path(target: &[u8]) -> Option<&str> {
    std::str::from_utf8(target).ok()?.split('?').next()
}

impl Begun<'_> {
    /// Runs the guest.
    pub(crate) async fn answer(self) -> Response<Answer> {
        let Begun { shared, caller, deployed, place, lease, exchange, id, record } = self;
        let terms = Terms { payer: &deployed.payer, place, deadline: exchange.deadline };
        let guest = Box::pin(invoke::guest(deployed.clone(), exchange, lease));
        let mut response = match shared.scheduler.run(terms, guest).await {
            Ok(Ok(Some(mut response))) => {
                invoke::complete_head(&mut response, shared, &deployed, FORM);
                response
            }
            outcome => Box::pin(seldom(shared, &caller, &deployed, outcome, id.as_str())).await,
        };
        response.body_mut().added.id = Some(id);
        if let Some(record) = record {
            record.end(id.as_str(), response.status());
        }
        response
    }
}

/// The response to a guest that did not do as usual.
async fn seldom(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    deployed: &Arc<Deployed>,
    outcome: Result<Outcome, Unfinished>,
    id: &str,
) -> Response<Answer> {
    let outcome = match outcome {
        Ok(outcome) => invoke::respond(shared, caller, deployed, outcome, FORM, id).await,
        Err(why) => Err(invoke::unfinished(deployed, why)),
    };
    match outcome {
        Ok(response) => response,
        Err(problem) => {
            if problem.is_busy() {
                super::pause(caller.exchange).await;
            }
            Problem::into_response(problem, id)
        }
    }
}
