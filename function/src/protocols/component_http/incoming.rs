//! `incoming-request`: the request of the exchange.

use super::super::component;
use super::body::IncomingBody;
use super::fields;
use crate::exchange::Body;
use crate::request::Request;
use crate::state::State;
use http::Method;
use http::header;
use http::uri::Scheme;
use wfaas_wasi::HasWasi;
use wfaas_wasi::preview2::{Host, Stop, Value, Violation, args};

/// The thing behind an `incoming-request`, which is in the exchange.
struct IncomingRequest;

/// The same of one whose body arrives while the guest runs: when it is dropped, nobody waits for the body.
struct Arriving {
    /// Until it is consumed.
    body: Option<Body>,
}

/// Adds the request of an exchange to a guest's handles.
pub(super) fn insert(state: &mut State) -> Result<u32, Violation> {
    let request = &mut state.exchange().request;
    // Bytes that it takes, about: in types, should the guest ask for a part of it.
    let bytes = request.header_bytes(fields::FIELD_BYTES);
    if request.body().is_complete() {
        return state.wasi().resources().insert_kept(IncomingRequest, bytes);
    }
    let body = Some(std::mem::take(request.body_mut()));
    state.wasi().resources().insert_kept(Arriving { body }, bytes)
}

fn request<'a>(host: &'a mut Host<'_, '_>, values: &[Value]) -> Result<&'a mut Request, Stop> {
    let [request] = args(values)?;
    let (resources, handle) = (host.resources(), request.handle()?);
    if resources.get::<IncomingRequest>(handle).is_err() {
        resources.get::<Arriving>(handle)?;
    }
    let state = component::state(host).ok_or(Violation::BadHandle(handle))?;
    Ok(&mut state.exchange().request)
}

/// The authority that the client asked for.
fn authority_of(request: &Request) -> Option<&str> {
    let host = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(|authority| authority.as_str()).or_else(host)
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
    Ok(method_value(request(host, values)?.method()))
}

pub(super) fn path_with_query(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let path = request(host, values)?.uri().path_and_query();
    Ok(Value::option(path.map(|path| Value::String(path.as_str().to_owned()))))
}

/// The server ends TLS, if there is any: what it knows is in the URI.
pub(super) fn scheme(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let is_https = request(host, values)?.uri().scheme() == Some(&Scheme::HTTPS);
    Ok(Value::some(Value::case(is_https.into())))
}

pub(super) fn authority(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let authority = authority_of(request(host, values)?).map(str::to_owned);
    Ok(Value::option(authority.map(Value::String)))
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let mut map = request(host, values)?.headers().clone();
    fields::tidy(&mut map);
    let [request] = args(values)?;
    fields::immutable(host, map, request.handle()?)
}

pub(super) fn consume(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [of] = args(values)?;
    let body = match host.resources().get::<Arriving>(of.handle()?) {
        Ok(arriving) => arriving.body.take(),
        Err(_) => request(host, values)?.body_mut().take_whole(),
    };
    let Some(body) = body else { return Ok(Value::failed()) };
    let handle = host.resources().insert(IncomingBody::new(body, true))?;
    Ok(Value::ok(Value::Handle(handle)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use wfaas_vm::BoxError;
    use wfaas_wasi::{ByteStream, Wasi};

    /// A body of which nothing comes.
    struct Never(#[expect(dead_code, reason = "it is counted")] Arc<()>);

    impl ByteStream for Never {
        fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
            Poll::Pending
        }
    }

    #[test]
    fn a_body_that_arrives_ends_with_the_handle_of_its_request() {
        let (mut state, alive) = (State::of_wasi(Wasi::default()), Arc::new(()));
        let complete = insert(&mut state).unwrap();
        let body = Body::stream(Box::new(Never(alive.clone())));
        *state.exchange().request.body_mut() = body;
        let arriving = insert(&mut state).unwrap();
        let resources = state.wasi().resources();
        assert!(resources.get::<IncomingRequest>(complete).is_ok());
        drop(resources.take::<Arriving>(arriving).unwrap());
        assert_eq!(Arc::strong_count(&alive), 1, "the exchange has it too");
    }
}
