//! `request`: the request of the exchange, or one to another server.

use super::super::fields;
use super::super::incoming::method_value;
use super::super::options::RequestOptions;
use super::super::outgoing::{self, REQUEST_BYTES, optional_part, text};
use super::answer::Trailers;
use super::message::{self, Contents};
use crate::exchange::Exchange;
use crate::request::Request;
use http::Method;
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use wfaas_wasi::preview2::{Host, Resources, Stop, Value, Violation, args};
use wfaas_wasi::preview3::Promise;

/// The thing behind a `request`.
pub(super) enum ServiceRequest {
    /// The request of the exchange, as it came: most guests ask for none of its parts, and many wait.
    Incoming(Request),
    Apart(Box<RequestParts>),
}

/// The parts of a request.
pub(super) struct RequestParts {
    pub(super) method: Method,
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: Option<String>,
    pub(super) path: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) contents: Contents,
    pub(super) options: Option<RequestOptions>,
    pub(super) trailers: Option<Trailers>,
    /// Tells the guest that its body was sent.
    pub(super) sent: Option<Promise>,
}

impl ServiceRequest {
    /// The request of an exchange, which is taken from there.
    pub(super) fn incoming(exchange: &mut Exchange) -> ServiceRequest {
        ServiceRequest::Incoming(std::mem::take(&mut exchange.request))
    }

    /// Adds it to the guest's handles.
    pub(super) fn insert(self, resources: &mut Resources) -> Result<u32, Violation> {
        let headers = match &self {
            ServiceRequest::Incoming(request) => request.header_bytes(fields::FIELD_BYTES),
            ServiceRequest::Apart(parts) => fields::bytes(&parts.headers),
        };
        resources.insert_kept(self, headers + REQUEST_BYTES)
    }

    fn parts(&mut self) -> &mut RequestParts {
        if let ServiceRequest::Incoming(request) = self {
            *self = ServiceRequest::Apart(Box::new(RequestParts::of(request)));
        }
        match self {
            ServiceRequest::Apart(parts) => parts,
            ServiceRequest::Incoming(_) => unreachable!("it was just taken apart"),
        }
    }

    pub(super) fn into_parts(self) -> RequestParts {
        match self {
            ServiceRequest::Incoming(mut request) => RequestParts::of(&mut request),
            ServiceRequest::Apart(parts) => *parts,
        }
    }

    fn into_contents(self) -> Contents {
        match self {
            ServiceRequest::Incoming(mut request) => of_client(&mut request),
            ServiceRequest::Apart(parts) => parts.contents,
        }
    }
}

/// The body of the exchange's request.
fn of_client(request: &mut Request) -> Contents {
    Contents::Host { body: std::mem::take(request.body_mut()), of_client: true }
}

impl RequestParts {
    /// The parts of the exchange's request, which are taken from it.
    fn of(request: &mut Request) -> RequestParts {
        let Parts { method, uri, mut headers, .. } = request.take_parts();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = uri.authority().map(Authority::as_str).or(host).map(str::to_owned);
        fields::tidy(&mut headers);
        // The server ends TLS, if there is any: what it knows is in the URI.
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        RequestParts {
            method,
            scheme: Some(if is_https { Scheme::HTTPS } else { Scheme::HTTP }),
            authority,
            path: uri.path_and_query().map(|path| path.as_str().to_owned()),
            headers,
            contents: of_client(request),
            options: None,
            trailers: None,
            sent: None,
        }
    }
}

pub(super) fn new(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [headers, contents, trailers, options] = args(values)?;
    let headers = fields::take(host, headers)?;
    let contents = Contents::of_guest(host, contents)?;
    let trailers = message::take_trailers(host, trailers)?;
    let options = match options.optional()? {
        Some(options) => Some(host.resources().take::<RequestOptions>(options.handle()?)?),
        None => None,
    };
    let (future, sent) = message::sent(host)?;
    let parts = RequestParts {
        method: Method::GET,
        scheme: None,
        authority: None,
        path: None,
        headers,
        contents,
        options,
        trailers: Some(trailers),
        sent: Some(sent),
    };
    let handle = ServiceRequest::Apart(Box::new(parts)).insert(host.resources())?;
    Ok(Value::Record(vec![Value::Handle(handle), future]))
}

fn request<'a>(host: &'a mut Host<'_, '_>, of: &Value) -> Result<&'a mut RequestParts, Stop> {
    Ok(host.resources().get::<ServiceRequest>(of.handle()?)?.parts())
}

pub(super) fn method(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(method_value(&request(host, of)?.method))
}

pub(super) fn set_method(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, method] = args(values)?;
    let Some(method) = outgoing::given_method(method)? else { return Ok(Value::failed()) };
    request(host, of)?.method = method;
    Ok(Value::done())
}

pub(super) fn path_with_query(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(text(request(host, of)?.path.as_deref()))
}

pub(super) fn set_path_with_query(
    host: &mut Host<'_, '_>,
    values: &[Value],
) -> Result<Value, Stop> {
    let [of, path] = args(values)?;
    let Ok(path) = optional_part::<PathAndQuery>(path)? else { return Ok(Value::failed()) };
    request(host, of)?.path = path.map(|path| path.as_str().to_owned());
    Ok(Value::done())
}

pub(super) fn scheme(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let scheme = request(host, of)?.scheme.as_ref();
    Ok(Value::option(scheme.map(outgoing::scheme_value)))
}

pub(super) fn set_scheme(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, scheme] = args(values)?;
    let Ok(scheme) = outgoing::optional_scheme(scheme)? else { return Ok(Value::failed()) };
    request(host, of)?.scheme = scheme;
    Ok(Value::done())
}

pub(super) fn authority(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(text(request(host, of)?.authority.as_deref()))
}

pub(super) fn set_authority(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, authority] = args(values)?;
    let Ok(authority) = optional_part::<Authority>(authority)? else { return Ok(Value::failed()) };
    request(host, of)?.authority = authority.map(|authority| authority.as_str().to_owned());
    Ok(Value::done())
}

pub(super) fn options(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    Ok(match request(host, of)?.options {
        Some(options) => Value::some(Value::Handle(host.resources().insert(options)?)),
        None => Value::none(),
    })
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let map = request(host, of)?.headers.clone();
    fields::frozen(host, map)
}

pub(super) fn consume_body(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of, result] = args(values)?;
    let request: ServiceRequest = host.resources().take(of.handle()?)?;
    request.into_contents().consume(host, result)
}
