//! Plain requests to functions that their connection knows: the way of most requests.
//!
//! It comes to the same as [`handle`](super::handle). Everything that can go another way than usual is
//! left to that before anything was done, or to [`seldom`] when the guest has ended.

use super::body::BoxResponse;
use super::id::RequestId;
use super::invoke::{self, Form};
use super::known::Target;
use super::peer::{Caller, Peer, head_bytes};
use super::redirect;
use super::replying::{self, First};
use super::{Incoming, Record};
use crate::boxed::boxed;
use crate::budget::Lease;
use crate::clock;
use crate::connection;
use crate::scheduler::{Place, Terms};
use crate::server::Shared;
use hyper::body::Body as _;
use hyper::{Method, Version};
use std::sync::Arc;
use std::time::Instant;
use wfaas_function::{Body, Exchange, PlainHead, Replies, Request};

/// A plain request, in bytes that were checked.
pub(crate) struct Asked<'a> {
    pub(crate) head: &'a PlainHead,
    /// Bytes of the path that its target begins with.
    pub(crate) path: usize,
    pub(crate) body: &'a [u8],
    /// Bytes of memory that the head takes.
    pub(crate) memory: u64,
}

/// A request that has everything its guest needs.
pub(crate) struct Begun<'a> {
    shared: &'a Arc<Shared>,
    caller: Caller<'a>,
    target: Target,
    place: Place,
    lease: Lease,
    exchange: Box<Exchange>,
    id: RequestId,
    record: Option<Box<Record>>,
    form: Form,
    /// The head, if the answer may be a local redirect: then the request is made again.
    again: Option<PlainHead>,
}

/// A plain request's form of answer: it is not about the head alone, gets no content coding, and has no `TE`.
const FORM: Form = Form { is_head: false, coding: None, takes_trailers: false };

/// Begins a request; `None` for one that is not to a function its connection knows, or cannot be answered
/// at once.
pub(crate) fn begin<'a>(
    shared: &'a Arc<Shared>,
    peer: &'a Peer,
    http: &'a Arc<connection::Exchange>,
    asked: &Asked<'_>,
) -> Option<Begun<'a>> {
    let Asked { head, path, body, memory } = *asked;
    let path = head.target().get(..path)?;
    let admitted = Admitted::of(shared, peer, http, path, memory, body)?;
    let record = Record::begin_plain(head, path);
    let again = admitted.target.deployed.function.redirects().then(|| head.clone());
    let request = Request::of_plain(head.clone(), Body::complete(body));
    Some(Begun { again, ..admitted.begin(request, record, FORM) })
}

/// The same of a request in types, if it is of HTTP/2 and has no body.
#[expect(clippy::result_large_err, reason = "the request goes on to who answers it instead")]
pub(crate) fn begin_typed<'a>(
    shared: &'a Arc<Shared>,
    peer: &'a Peer,
    http: &'a Arc<connection::Exchange>,
    request: hyper::Request<Incoming>,
) -> Result<Begun<'a>, hyper::Request<Incoming>> {
    let is_plain = request.version() == Version::HTTP_2
        && !matches!(*request.method(), Method::HEAD | Method::CONNECT)
        && request.body().is_end_stream();
    if !is_plain {
        return Err(request);
    }
    let (head, body) = request.into_parts();
    let admit = |()| {
        let path = head.uri.path().as_bytes();
        let admitted = Admitted::of(shared, peer, http, path, head_bytes(&head), &[]);
        // Whoever redirects needs the head again.
        admitted.filter(|admitted| !admitted.target.deployed.function.redirects())
    };
    let Some(admitted) = super::check(peer, http, &head).ok().and_then(admit) else {
        return Err(hyper::Request::from_parts(head, body));
    };
    let record = Record::begin(&head);
    let form = Form { takes_trailers: true, ..FORM };
    let request = hyper::Request::from_parts(head, Body::default());
    Ok(admitted.begin(request.into(), record, form))
}

/// A request that is let in: everything that it needs besides itself.
struct Admitted<'a> {
    shared: &'a Arc<Shared>,
    caller: Caller<'a>,
    target: Target,
    place: Place,
    lease: Lease,
}

impl<'a> Admitted<'a> {
    fn of(
        shared: &'a Arc<Shared>,
        peer: &'a Peer,
        http: &'a Arc<connection::Exchange>,
        path: &[u8],
        head_bytes: u64,
        body: &[u8],
    ) -> Option<Admitted<'a>> {
        if shared.containers.is_some() || body.len() as u64 > shared.config.max_body {
            return None;
        }
        let caller = peer.plain_caller(shared, http)?;
        let target = caller.known(path, shared.deployer.registry.changes())?;
        if !target.deployed.is_plain {
            return None;
        }
        let replies = target.deployed.function.replies() == Replies::Always;
        let room = if replies { replying::room(FORM) } else { 0 };
        let mut lease = caller.lease(&target, head_bytes + room).ok()?;
        lease.grow(body.len() as u64).ok()?;
        let place = caller.free_place(&target)?;
        Some(Admitted { shared, caller, target, place, lease })
    }

    fn begin(self, request: Request, record: Option<Record>, form: Form) -> Begun<'a> {
        let Admitted { shared, caller, target, place, lease } = self;
        let (id, record) = (shared.ids.next(), record.map(Box::new));
        let mut exchange = Exchange::boxed(request);
        exchange.id = id.as_str().into();
        exchange.route_bytes = target.route_bytes;
        exchange.deadline = clock::now().checked_add(target.deployed.function.time_limit());
        (exchange.client, exchange.server) = (Some(caller.address), Some(shared.address));
        let again = None;
        Begun { shared, caller, target, place, lease, exchange, id, record, form, again }
    }
}

impl<'a> Begun<'a> {
    /// Runs the guest.
    pub(crate) fn answer(self) -> impl Future<Output = BoxResponse> + Send + use<'a> {
        let Begun { shared, caller, target, place, lease, exchange, id, record, form, again } =
            self;
        // A block has what it is given once, where an async function has its arguments twice.
        async move {
            let (deployed, deadline) = (&target.deployed, exchange.deadline);
            let first = if deployed.function.replies() == Replies::Never {
                let terms = Terms { payer: &deployed.payer, place, deadline };
                let guest = boxed(|| invoke::guest(deployed.clone(), exchange, lease));
                let outcome = shared.scheduler.run(terms, guest).await;
                First::Outcome(outcome.map_err(|why| invoke::unfinished(deployed, why)))
            } else {
                replying::plain(shared, deployed, place, exchange, lease).await
            };
            let mut response = match first {
                First::Outcome(Ok(Ok(Some(mut response))))
                    if redirect::target(response.extensions()).is_none() =>
                {
                    invoke::complete_head(&mut response, shared, deployed, form);
                    response
                }
                first => {
                    let asked = Rest { form, again, deadline, id: id.as_str() };
                    Box::pin(seldom(shared, &caller, &target, first, asked)).await
                }
            };
            response.body_mut().added.id = Some(id);
            if let Some(record) = record {
                record.end(id.as_str(), response.status());
            }
            response
        }
    }
}

/// The parts of a request that its unusual answer needs.
struct Rest<'a> {
    form: Form,
    again: Option<PlainHead>,
    deadline: Option<Instant>,
    id: &'a str,
}

/// The response to a guest that did not do as usual.
async fn seldom(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    target: &Target,
    first: First,
    rest: Rest<'_>,
) -> BoxResponse {
    let Rest { form, again, deadline, id } = rest;
    let mut response = match first {
        First::Outcome(Ok(outcome)) => {
            invoke::respond(shared, caller, &target.deployed, outcome, form, id).await
        }
        First::Outcome(Err(problem)) => Err(problem),
        First::Begun(begun) => replying::send(shared, caller, target, begun, form, id).await,
    };
    let path = response.as_ref().ok().and_then(|it| redirect::target(it.extensions()).cloned());
    if let (Some(path), Some(head)) = (path, again) {
        drop(response); // and the lease of the request's bytes
        let again = redirect::again(&head.parts(), &target.deployed.info.tenant, deadline);
        response = redirect::follow(shared, caller, again, path, id).await;
    }
    match response {
        Ok(response) => response,
        Err(problem) => {
            if problem.is_busy() {
                super::pause(caller.exchange).await;
            }
            problem.into_response(id)
        }
    }
}
