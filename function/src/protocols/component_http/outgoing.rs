//! `outgoing-request` and `wasi:http/outgoing-handler`: requests to other servers, as far as the function may
//! send them.

use super::super::component;
use super::body::{MAX_WAITING, OutgoingBody, Writing};
use super::incoming::{METHODS, method_value};
use super::options::RequestOptions;
use super::received::FutureResponse;
use super::{error, fields};
use crate::exchange::Body;
use http::header::HeaderMap;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Method, Request, Uri};
use wfaas_wasi::preview2::{Function, Host, Interface, Stop, Value, args};

pub(super) const HANDLER: Interface = Interface {
    name: "wasi:http/outgoing-handler@0.2",
    functions: &[Function { name: "handle", call: handle }],
};

/// The thing behind an `outgoing-request`.
struct OutgoingRequest {
    method: Method,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    headers: HeaderMap,
    body: Option<Writing>,
}

/// Longest text of a part of a request's URL.
pub(super) const MAX_TEXT: usize = 8 << 10;

/// Bytes that a request counts besides its headers: the parts of its URL.
pub(super) const REQUEST_BYTES: usize = 3 * MAX_TEXT;

pub(super) fn constructor(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [headers] = args(values)?;
    let headers = fields::take(host, headers)?;
    let kept = fields::bytes(&headers) + REQUEST_BYTES;
    let request = OutgoingRequest {
        method: Method::GET,
        scheme: None,
        authority: None,
        path: None,
        headers,
        body: None,
    };
    Ok(Value::Handle(host.resources().insert_kept(request, kept)?))
}

fn request<'a>(
    host: &'a mut Host<'_, '_>,
    request: &Value,
) -> Result<&'a mut OutgoingRequest, Stop> {
    Ok(host.resources().get::<OutgoingRequest>(request.handle()?)?)
}

pub(super) fn body(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let request = request(host, of)?;
    if request.body.is_some() {
        return Ok(Value::failed());
    }
    let writing = request.body.insert(Writing::default()).clone();
    let kept = fields::bytes(&request.headers) + REQUEST_BYTES + MAX_WAITING;
    host.resources().keep(of.handle()?, kept)?;
    let body = OutgoingBody::of_request(writing).insert(host.resources())?;
    Ok(Value::ok(Value::Handle(body)))
}

pub(super) fn method(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(method_value(&request(host, of)?.method))
}

pub(super) fn set_method(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, method] = args(values)?;
    let Some(method) = given_method(method)? else { return Ok(Value::failed()) };
    request(host, of)?.method = method;
    Ok(Value::done())
}

/// A method that the guest gave; `None` if it is none.
pub(super) fn given_method(method: &Value) -> Result<Option<Method>, Stop> {
    Ok(match method.variant()? {
        (case, None) => METHODS.get(case as usize).cloned(),
        (_, Some(name)) => part(name)?.and_then(|name| Method::from_bytes(name.as_bytes()).ok()),
    })
}

/// A text that is not too long.
fn part(text: &Value) -> Result<Option<&str>, Stop> {
    Ok(Some(text.text()?).filter(|text| text.len() <= MAX_TEXT))
}

/// A part of a URL that may be left out: `Err` if it is none.
pub(super) fn optional_part<T: std::str::FromStr>(
    value: &Value,
) -> Result<Result<Option<T>, ()>, Stop> {
    let Some(text) = value.optional()? else { return Ok(Ok(None)) };
    let parsed = part(text)?.and_then(|text| text.parse().ok());
    Ok(parsed.map(Some).ok_or(()))
}

/// A part of a URL that may be left out.
pub(super) fn text(part: Option<&str>) -> Value {
    Value::option(part.map(|part| Value::String(part.to_owned())))
}

pub(super) fn path_with_query(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(text(request(host, of)?.path.as_ref().map(PathAndQuery::as_str)))
}

pub(super) fn set_path_with_query(
    host: &mut Host<'_, '_>,
    values: &[Value],
) -> Result<Value, Stop> {
    let [of, path] = args(values)?;
    let Ok(path) = optional_part(path)? else { return Ok(Value::failed()) };
    request(host, of)?.path = path;
    Ok(Value::done())
}

pub(super) fn scheme(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let scheme = request(host, of)?.scheme.as_ref();
    Ok(Value::option(scheme.map(scheme_value)))
}

/// `scheme`
pub(super) fn scheme_value(scheme: &Scheme) -> Value {
    match scheme.as_str() {
        "http" => Value::case(0),
        "https" => Value::case(1),
        other => Value::Case(2, Some(Box::new(Value::String(other.to_owned())))),
    }
}

/// A scheme that may be left out: `Err` if it is none.
pub(super) fn optional_scheme(value: &Value) -> Result<Result<Option<Scheme>, ()>, Stop> {
    let Some(scheme) = value.optional()? else { return Ok(Ok(None)) };
    let scheme = match scheme.variant()? {
        (0, None) => Some(Scheme::HTTP),
        (1, None) => Some(Scheme::HTTPS),
        (_, Some(other)) => part(other)?.and_then(|other| other.parse().ok()),
        _ => None,
    };
    Ok(scheme.map(Some).ok_or(()))
}

pub(super) fn set_scheme(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, scheme] = args(values)?;
    let Ok(scheme) = optional_scheme(scheme)? else { return Ok(Value::failed()) };
    request(host, of)?.scheme = scheme;
    Ok(Value::done())
}

pub(super) fn authority(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(text(request(host, of)?.authority.as_ref().map(Authority::as_str)))
}

pub(super) fn set_authority(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, authority] = args(values)?;
    let Ok(authority) = optional_part(authority)? else { return Ok(Value::failed()) };
    request(host, of)?.authority = authority;
    Ok(Value::done())
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let map = request(host, of)?.headers.clone();
    fields::immutable(host, map, of.handle()?)
}

fn handle(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [given, options] = args(values)?;
    let given = host.resources().take::<OutgoingRequest>(given.handle()?)?;
    let options = match options.optional()? {
        Some(options) => host.resources().take::<RequestOptions>(options.handle()?)?,
        None => RequestOptions::default(),
    };
    let Some(request) = built(given)? else {
        return Ok(Value::err(Value::case(error::URI_INVALID)));
    };
    match component::outgoing(host).send(request, options.timeouts()) {
        Ok(sending) => {
            let future = host.resources().insert(FutureResponse::new(sending))?;
            Ok(Value::ok(Value::Handle(future)))
        }
        Err(error) => Ok(Value::err(error::of_outgoing(&error))),
    }
}

/// The request as the server's client sends it; `None` if it has no URL.
fn built(given: OutgoingRequest) -> Result<Option<Request<Body>>, Stop> {
    let OutgoingRequest { method, scheme, authority, path, headers, body } = given;
    let mut url = Parts::default();
    url.scheme = Some(scheme.unwrap_or(Scheme::HTTPS));
    url.authority = authority;
    url.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
    let Ok(url) = Uri::from_parts(url) else { return Ok(None) };
    let body = match body {
        Some(writing) => writing.send().map_err(Stop::end)?,
        None => Body::default(),
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url;
    *request.headers_mut() = headers;
    Ok(Some(request))
}
