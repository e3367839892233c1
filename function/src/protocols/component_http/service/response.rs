//! `response`: the answer of the exchange, or that of another server.

use super::super::super::component;
use super::super::{error, fields};
use super::answer::{AnswerBody, Trailers};
use super::message::{self, Contents};
use crate::head;
use crate::trailers;
use http::StatusCode;
use http::header::HeaderMap;
use wfaas_wasi::Output;
use wfaas_wasi::preview2::{Host, OutputStream, Stop, Value, args};
use wfaas_wasi::preview3::Promise;

/// The thing behind a `response`.
pub(super) struct ServiceResponse {
    status: StatusCode,
    headers: HeaderMap,
    contents: Contents,
    trailers: Option<Trailers>,
    /// Tells the guest that its body was sent.
    sent: Option<Promise>,
}

impl ServiceResponse {
    /// The answer of another server.
    pub(super) fn received(answer: http::Response<crate::exchange::Body>) -> ServiceResponse {
        let (mut head, body) = answer.into_parts();
        fields::tidy(&mut head.headers);
        ServiceResponse {
            status: head.status,
            headers: head.headers,
            contents: Contents::Host { body, of_client: false },
            trailers: None,
            sent: None,
        }
    }

    /// Adds it to the guest's handles.
    pub(super) fn insert(self, host: &mut Host<'_, '_>) -> Result<Value, Stop> {
        let kept = fields::bytes(&self.headers);
        Ok(Value::Handle(host.resources().insert_kept(self, kept)?))
    }
}

/// Takes the result of the handler, a `result<response, error-code>`.
pub(super) fn returned(host: &mut Host<'_, '_>, value: Option<&Value>) -> Result<(), Stop> {
    let Some((reply, answer)) = component::reply(host) else { return Ok(()) };
    answer.returned();
    let Some(value) = value else { return Err(Value::mismatch().into()) };
    let given = match value.variant()? {
        (0, Some(given)) => given,
        (_, error) => {
            let name = error.map_or(Ok(String::new()), error::name)?;
            answer.fail(name);
            return Ok(());
        }
    };
    let ServiceResponse { status, headers, contents, trailers, sent } =
        host.resources().take(given.handle()?)?;
    let mut parts = head::empty();
    trailers::announce(&mut parts.extensions, &headers);
    (parts.status, parts.headers) = (status, headers);
    reply.begin(parts).map_err(Stop::end)?;
    let body = AnswerBody::begin(reply, answer, trailers, contents.trailers());
    let output = OutputStream::of_client(Output::stream(Box::new(body)));
    let sent = sent.map(|sent| sent.with(Value::done()));
    contents.send(host, output, sent)
}

pub(super) fn new(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [headers, contents, trailers] = args(values)?;
    let headers = fields::take(host, headers)?;
    let contents = Contents::of_guest(host, contents)?;
    let trailers = Some(message::take_trailers(host, trailers)?);
    let (future, sent) = message::sent(host)?;
    let (status, sent) = (StatusCode::OK, Some(sent));
    let response = ServiceResponse { status, headers, contents, trailers, sent };
    Ok(Value::Record(vec![response.insert(host)?, future]))
}

fn response<'a>(host: &'a mut Host<'_, '_>, of: &Value) -> Result<&'a mut ServiceResponse, Stop> {
    Ok(host.resources().get::<ServiceResponse>(of.handle()?)?)
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
    fields::frozen(host, map)
}

pub(super) fn consume_body(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, result] = args(values)?;
    let ServiceResponse { contents, .. } = host.resources().take(of.handle()?)?;
    contents.consume(host, result)
}
