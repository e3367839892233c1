//! `incoming-request`: the request of the exchange.

use super::body::IncomingBody;
use super::fields;
use crate::exchange::Exchange;
use http::header::{self, HeaderMap};
use http::uri::Scheme;
use http::{Method, Uri};
use wfaas_wasi::Input;
use wfaas_wasi::preview2::{Host, InputStream, Stop, Value, args};

/// The thing behind an `incoming-request`.
pub(super) struct IncomingRequest {
    method: Method,
    uri: Uri,
    authority: Option<String>,
    headers: HeaderMap,
    /// Until it is consumed.
    body: Option<Input>,
}

impl IncomingRequest {
    /// The request of an exchange. Headers and body are taken from there.
    pub(super) fn new(exchange: &mut Exchange) -> IncomingRequest {
        let request = &mut exchange.request;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let mut headers = std::mem::take(request.headers_mut());
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let of_uri = uri.authority().map(|authority| authority.as_str());
        let authority = of_uri.or(host).map(str::to_owned);
        fields::tidy(&mut headers);
        let body = Some(request.body_mut().take_input());
        IncomingRequest { method, uri, authority, headers, body }
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        fields::bytes(&self.headers)
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
    Ok(method_value(&request(host, values)?.method))
}

pub(super) fn path_with_query(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let path = request(host, values)?.uri.path_and_query();
    Ok(Value::option(path.map(|path| Value::String(path.as_str().to_owned()))))
}

/// The server ends TLS, if there is any: what it knows is in the URI.
pub(super) fn scheme(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let is_https = request(host, values)?.uri.scheme() == Some(&Scheme::HTTPS);
    Ok(Value::some(Value::case(is_https.into())))
}

pub(super) fn authority(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let authority = request(host, values)?.authority.clone();
    Ok(Value::option(authority.map(Value::String)))
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let map = request(host, values)?.headers.clone();
    let [request] = args(values)?;
    fields::immutable(host, map, request.handle()?)
}

pub(super) fn consume(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let Some(body) = request(host, values)?.body.take() else { return Ok(Value::failed()) };
    let handle = host.resources().insert(IncomingBody::new(InputStream::of_client(body)))?;
    Ok(Value::ok(Value::Handle(handle)))
}
