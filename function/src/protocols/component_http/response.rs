//! `outgoing-response` and `response-outparam`: the answer of the exchange.

use super::body::{MAX_WAITING, OutgoingBody, Writing};
use super::{HandlerError, error, fields};
use crate::head;
use crate::reply::Reply;
use http::StatusCode;
use http::header::HeaderMap;
use std::sync::{Arc, Mutex, PoisonError};
use wfaas_wasi::preview2::{Host, Stop, Value, args};

/// The thing behind an `outgoing-response`.
struct OutgoingResponse {
    status: StatusCode,
    headers: HeaderMap,
    /// The body, once the guest has asked for it.
    body: Option<Writing>,
}

/// The thing behind a `response-outparam`.
pub(super) struct ResponseOutparam {
    pub(super) reply: Reply,
    pub(super) answer: Arc<Answer>,
}

/// The guest's answer, for the conversation.
#[derive(Debug, Default)]
pub(super) struct Answer(Mutex<Option<Set>>);

#[derive(Debug)]
enum Set {
    Error(String),
    Response(Option<Writing>),
}

impl Answer {
    /// Checks that the guest has answered.
    pub(super) fn check(&self) -> Result<(), HandlerError> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Err(HandlerError::NoAnswer),
            Some(Set::Error(error)) => Err(HandlerError::Error(error.clone())),
            Some(Set::Response(Some(body))) if !body.is_finished() => Err(HandlerError::Unfinished),
            Some(Set::Response(_)) => Ok(()),
        }
    }

    fn set(&self, set: Set) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(set);
    }
}

pub(super) fn constructor(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [headers] = args(values)?;
    let headers = fields::take(host, headers)?;
    let kept = fields::bytes(&headers);
    let response = OutgoingResponse { status: StatusCode::OK, headers, body: None };
    let handle = host.resources().insert(response)?;
    host.resources().keep(handle, kept)?;
    Ok(Value::Handle(handle))
}

fn response<'a>(
    host: &'a mut Host<'_, '_>,
    response: &Value,
) -> Result<&'a mut OutgoingResponse, Stop> {
    Ok(host.resources().get::<OutgoingResponse>(response.handle()?)?)
}

pub(super) fn status_code(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(Value::U16(response(host, of)?.status.as_u16()))
}

pub(super) fn set_status_code(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, code] = args(values)?;
    let Ok(status) = head::status(code.u16()?.into()) else { return Ok(Value::failed()) };
    response(host, of)?.status = status;
    Ok(Value::done())
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let map = response(host, of)?.headers.clone();
    fields::immutable(host, map, of.handle()?)
}

pub(super) fn body(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let response = response(host, of)?;
    if response.body.is_some() {
        return Ok(Value::failed());
    }
    let writing = response.body.insert(Writing::default()).clone();
    let kept = fields::bytes(&response.headers) + MAX_WAITING;
    host.resources().keep(of.handle()?, kept)?;
    OutgoingBody::of_answer(writing).insert(host)
}

pub(super) fn set(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [outparam, given] = args(values)?;
    let ResponseOutparam { reply, answer } = host.resources().take(outparam.handle()?)?;
    match given.variant()? {
        (0, Some(given)) => {
            let response = host.resources().take::<OutgoingResponse>(given.handle()?)?;
            begin(&reply, &response).map_err(Stop::end)?;
            if let Some(body) = &response.body {
                body.connect(reply)?;
            }
            answer.set(Set::Response(response.body));
        }
        (_, Some(given)) => answer.set(Set::Error(error::name(given)?)),
        (_, None) => answer.set(Set::Error(String::new())),
    }
    Ok(Value::NOTHING)
}

/// Sends the head.
fn begin(reply: &Reply, response: &OutgoingResponse) -> Result<(), head::HeadError> {
    let mut parts = head::empty();
    parts.status = response.status;
    parts.headers.clone_from(&response.headers);
    reply.begin(parts).map(drop)
}
