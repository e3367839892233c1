//! `wasi:http/client`: requests to other servers, as far as the function may send them.

use super::super::super::component;
use super::super::body::Writing;
use super::super::error;
use super::answer::{Trailers, Upload};
use super::message::Contents;
use super::request::{RequestParts, ServiceRequest};
use super::response::ServiceResponse;
use crate::exchange::Body;
use http::uri::{Parts, Scheme};
use http::{Request, Uri};
use std::sync::PoisonError;
use std::task::{Context, Poll};
use wfaas_vm::BoxError;
use wfaas_wasi::preview2::{Function, Host, Interface, OutputStream, Stop, Value, args};
use wfaas_wasi::{ByteSink, Output};

pub(in crate::protocols::component_http) const CLIENT: Interface =
    Interface { name: "wasi:http/client@0.3", functions: &[Function { name: "send", call: send }] };

/// Sends a request, and waits for its answer. A call that is cancelled meanwhile drops the request.
fn send(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [given] = args(values)?;
    let request = host.resources().take::<ServiceRequest>(given.handle()?)?.into_parts();
    let options = request.options.unwrap_or_default();
    let Some(request) = built(host, request)? else {
        return Ok(Value::err(Value::case(error::URI_INVALID)));
    };
    let sending = match component::outgoing(host).send(request, options.timeouts()) {
        Ok(sending) => sending,
        Err(error) => return Ok(Value::err(error::of_outgoing(&error))),
    };
    Err(host.wait(sending, |host, answer| match answer {
        Ok(answer) => Ok(Value::ok(ServiceResponse::received(answer).insert(host)?)),
        Err(error) => Ok(Value::err(error::of_outgoing(&error))),
    }))
}

/// The request as the server's client sends it; `None` if it has no URL.
fn built(host: &mut Host<'_, '_>, given: RequestParts) -> Result<Option<Request<Body>>, Stop> {
    let RequestParts { method, scheme, authority, path, headers, contents, trailers, sent, .. } =
        given;
    let mut url = Parts::default();
    url.scheme = Some(scheme.unwrap_or(Scheme::HTTPS));
    url.authority = authority.and_then(|authority| authority.parse().ok());
    url.path_and_query = path.as_deref().unwrap_or("/").parse().ok();
    let Ok(url) = Uri::from_parts(url) else { return Ok(None) };
    let body = match contents {
        Contents::None => Body::default(),
        Contents::Host { body, .. } => body,
        Contents::Guest(_) => {
            let writing = Writing::default();
            let body = writing.send().map_err(Stop::end)?;
            let output =
                Output::stream(Box::new(RequestBody::new(writing, trailers.unwrap_or_default())));
            let sent = sent.map(|sent| sent.with(Value::done()));
            contents.send(host, OutputStream::new(output), sent)?;
            body
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url;
    *request.headers_mut() = headers;
    Ok(Some(request))
}

/// A body on its way to another server. It is whole when its stream has ended, and the trailers say so.
struct RequestBody {
    writing: Writing,
    /// Until the stream has ended.
    upload: Option<Upload>,
    trailers: Trailers,
}

impl RequestBody {
    fn new(writing: Writing, trailers: Trailers) -> RequestBody {
        RequestBody { upload: Some(Upload(writing.clone())), writing, trailers }
    }
}

impl ByteSink for RequestBody {
    fn is_full(&self) -> bool {
        self.writing.is_full()
    }

    fn room(&self) -> usize {
        self.writing.room()
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.writing.poll_room(context)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        self.writing.write(bytes)
    }

    fn close(&mut self) -> Result<(), BoxError> {
        if let Some(upload) = self.upload.take() {
            self.trailers.lock().unwrap_or_else(PoisonError::into_inner).end_stream(upload);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::End;
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_body_is_whole_if_its_stream_and_its_trailers_are() {
        let whole = || Some(End::Whole(None));
        let failed = || Some(End::Failed("error".to_owned()));
        // Trailers before the end of the stream, whether it has one, and trailers after.
        let cases = [
            (None, false, None, false),
            (whole(), false, None, false),
            (None, true, None, false),
            (None, true, whole(), true),
            (whole(), true, None, true),
            (None, true, failed(), false),
            (failed(), true, None, false),
        ];
        for (number, (before, ends, after, is_whole)) in cases.into_iter().enumerate() {
            let (writing, trailers) = (Writing::default(), Trailers::default());
            let mut body = writing.send().unwrap();
            let mut sink = RequestBody::new(writing, trailers.clone());
            let resolve = |end| trailers.lock().unwrap().resolve(end);
            before.into_iter().for_each(resolve);
            if ends {
                sink.close().unwrap();
            }
            drop(sink);
            after.into_iter().for_each(resolve);
            drop(trailers);
            let end = body.poll_next(&mut Context::from_waker(Waker::noop()));
            match is_whole {
                true => assert!(matches!(end, Poll::Ready(None)), "case {number}"),
                false => assert!(matches!(end, Poll::Ready(Some(Err(_)))), "case {number}"),
            }
        }
    }
}
