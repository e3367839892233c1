//! `incoming-request`: the request of the exchange.

use super::body::IncomingBody;
use super::fields;
use crate::exchange::{Body, Exchange};
use crate::request::Request;
use http::Method;
use http::header;
use http::uri::Scheme;
use wfaas_wasi::preview2::{Host, Stop, Value, args};

/// The thing behind an `incoming-request`.
pub(super) struct IncomingRequest {
    /// Without its body; in bytes until the guest asks for a part of it.
    head: Request,
    /// Until it is consumed.
    body: Option<Body>,
}

impl IncomingRequest {
    /// The request of an exchange. Headers and body are taken from there.
    pub(super) fn new(exchange: &mut Exchange) -> IncomingRequest {
        let request = &mut exchange.request;
        IncomingRequest {
            head: request.split_head(),
            body: Some(std::mem::take(request.body_mut())),
        }
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.head.header_bytes(fields::FIELD_BYTES)
    }

    /// The authority that the client asked for.
    fn authority(&self) -> Option<&str> {
        let host = || self.head.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        self.head.uri().authority().map(|authority| authority.as_str()).or_else(host)
    }
}

fn request<'a>(
    host: &'a mut Host<'_, '_>,
    values: &[Value],
) -> Result<&'a mut IncomingRequest, Stop> {
    let [request] = args(values)?;
    Ok(host.resources().get::<IncomingRequest>(request.handle()?)?)
}

/// `method`
pub(super) fn method_value(method: &Method) -> Value {
    let number = METHODS.iter().position(|known| known == method);
    match number {
        Some(number) => Value::case(number as u32),
        None => {
            let name = Value::String(method.as_str().to_owned());
            Value::Case(METHODS.len() as u32, Some(Box::new(name)))
        }
    }
}

/// The methods that have a case of their own, in order.
pub(super) const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

pub(super) fn method(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    Ok(method_value(request(host, values)?.head.method()))
}

pub(super) fn path_with_query(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let path = request(host, values)?.head.uri().path_and_query();
    Ok(Value::option(path.map(|path| Value::String(path.as_str().to_owned()))))
}

/// The server ends TLS, if there is any: what it knows is in the URI.
pub(super) fn scheme(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let is_https = request(host, values)?.head.uri().scheme() == Some(&Scheme::HTTPS);
    Ok(Value::some(Value::case(is_https.into())))
}

pub(super) fn authority(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let authority = request(host, values)?.authority().map(str::to_owned);
    Ok(Value::option(authority.map(Value::String)))
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let mut map = request(host, values)?.head.headers().clone();
    fields::tidy(&mut map);
    let [request] = args(values)?;
    fields::immutable(host, map, request.handle()?)
}

pub(super) fn consume(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let Some(body) = request(host, values)?.body.take() else { return Ok(Value::failed()) };
    let handle = host.resources().insert(IncomingBody::new(body, true))?;
    Ok(Value::ok(Value::Handle(handle)))
}
