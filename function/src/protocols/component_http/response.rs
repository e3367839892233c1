//! `outgoing-response` and `response-outparam`: the answer of the exchange.

use super::super::component;
use super::body::{MAX_WAITING, OutgoingBody, Writing};
use super::fields::{self, Fields, Stage};
use super::{HandlerError, error};
use crate::head::{self, HeadError};
use crate::reply::Head;
use crate::trailers;
use http::StatusCode;
use http::header::HeaderMap;
use wfaas_vm::BoxError;
use wfaas_wasi::preview2::{DirectCall, Host, Resources, Stop, Value, Violation, args};

/// The thing behind a `response-outparam`, of which an exchange has one. The reply is with the grants.
pub(super) struct ResponseOutparam;

/// The guest's answer, for the conversation.
#[derive(Debug, Default)]
pub(in crate::protocols) struct Answer(Option<Set>);

#[derive(Debug)]
enum Set {
    Error(String),
    Response(Option<Writing>),
}

impl Answer {
    /// Checks that the guest has answered.
    pub(super) fn end(self) -> Result<(), HandlerError> {
        match self.0 {
            None => Err(HandlerError::NoAnswer),
            Some(Set::Error(error)) => Err(HandlerError::Error(error)),
            Some(Set::Response(Some(body))) if !body.is_finished() => Err(HandlerError::Unfinished),
            Some(Set::Response(body)) => {
                body.into_iter().for_each(Writing::put_back);
                Ok(())
            }
        }
    }
}

/// Notes the answer.
fn answered(resources: &mut Resources, set: Set) {
    if let Some(answer) = component::answer(resources) {
        answer.0 = Some(set);
    }
}

pub(super) fn constructor(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [headers] = args(values)?;
    Ok(Value::Handle(fields::respond(host.resources(), headers.handle()?)?))
}

pub(super) fn construct_directly(
    call: &mut DirectCall<'_>,
    cells: &[u64],
) -> Result<Option<u32>, BoxError> {
    let [headers, ..] = *cells else { return Ok(None) };
    Ok(Some(fields::respond(call.resources(), headers as u32)?))
}

/// The status of a response.
fn status<'a>(host: &'a mut Host<'_, '_>, response: &Value) -> Result<&'a mut StatusCode, Stop> {
    let response = response.handle()?;
    match &mut host.resources().get::<Fields>(response)?.stage {
        Stage::Response { status, .. } => Ok(status),
        Stage::Mutable | Stage::Immutable => Err(Violation::BadHandle(response).into()),
    }
}

pub(super) fn status_code(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(Value::U16(status(host, of)?.as_u16()))
}

pub(super) fn set_status_code(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, code] = args(values)?;
    let Ok(new) = head::status(code.u16()?.into()) else { return Ok(Value::failed()) };
    *status(host, of)? = new;
    Ok(Value::done())
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    status(host, of)?; // it is a response
    let map = host.resources().get::<Fields>(of.handle()?)?.content.map().clone();
    fields::immutable(host, map, of.handle()?)
}

pub(super) fn body(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let body = begin_body(host.resources(), of.handle()?)?;
    Ok(body.map_or_else(Value::failed, |body| Value::ok(Value::Handle(body))))
}

pub(super) fn body_directly(
    call: &mut DirectCall<'_>,
    cells: &[u64],
) -> Result<Option<u32>, BoxError> {
    let [of, ..] = *cells else { return Ok(None) };
    Ok(begin_body(call.resources(), of as u32)?)
}

/// The body of a response, the first time that somebody asks for it.
#[inline]
fn begin_body(resources: &mut Resources, of: u32) -> Result<Option<u32>, Violation> {
    let Fields { bytes, stage, .. } = resources.get(of)?;
    let Stage::Response { body, .. } = stage else { return Err(Violation::BadHandle(of)) };
    if body.is_some() {
        return Ok(None);
    }
    let writing = body.insert(Writing::new()).clone();
    let kept = *bytes + MAX_WAITING;
    resources.keep(of, kept)?;
    OutgoingBody::of_answer(writing).insert(resources).map(Some)
}

pub(super) fn set(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [outparam, given] = args(values)?;
    if let (0, Some(response)) = given.variant()? {
        send(host.resources(), outparam.handle()?, response.handle()?).map_err(Stop::end)?;
        return Ok(Value::NOTHING);
    }
    host.resources().take::<ResponseOutparam>(outparam.handle()?)?;
    let error = match given.variant()? {
        (_, Some(given)) => error::name(given)?,
        (_, None) => String::new(),
    };
    answered(host.resources(), Set::Error(error));
    Ok(Value::NOTHING)
}

pub(super) fn set_directly(
    call: &mut DirectCall<'_>,
    cells: &[u64],
) -> Result<Option<u32>, BoxError> {
    let [outparam, _, response, ..] = *cells else { return Ok(None) };
    send(call.resources(), outparam as u32, response as u32).map(Some)
}

/// Sends the head, and the body as far as it was written.
#[inline]
fn send(resources: &mut Resources, outparam: u32, response: u32) -> Result<u32, BoxError> {
    let ResponseOutparam = resources.take(outparam)?;
    let reply = component::take_reply(resources).ok_or(HeadError::Sent)?;
    let (content, status, body) = fields::take_response(resources, response)?;
    let head = match content.into_either() {
        Ok(map) => in_types(status, *map),
        Err(plain) => Head::Plain(status, plain),
    };
    match &body {
        Some(body) => body.begin(reply, head)?,
        None => reply.begin_with(head, &[], None)?,
    }
    answered(resources, Set::Response(body));
    Ok(0)
}

fn in_types(status: StatusCode, headers: HeaderMap) -> Head {
    let mut parts = head::empty();
    trailers::announce(&mut parts.extensions, &headers);
    (parts.status, parts.headers) = (status, headers);
    parts.into()
}
