//! Outgoing requests: what guests ask other servers for by HTTP.
//!
//! A protocol's host function gives a request to the [`Outgoing`] of its [state](crate::State). Host and
//! head are checked there; an [`HttpClient`], which the server or the command line supplies, sends the
//! request. Both bodies may be streams. Dropping the future, or the answer's body, gives the request up.

mod error;
mod hosts;
mod place;

pub use error::OutgoingError;

use crate::exchange::Body;
use crate::head;
use crate::trailers::{self, TrailerNames};
use error::shown;
pub(crate) use hosts::matches;
use http::header::{self, HeaderMap, HeaderName};
use http::uri::Scheme;
use http::{Method, Request, Response, Uri};
use place::Place;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Most requests of one function at the same time, up to the ends of their answers.
pub const MAX_REQUESTS: usize = 64;

/// Sends requests over the network.
pub trait HttpClient: fmt::Debug + Send + Sync {
    /// Sends a request with an absolute URL. The answer is ready when its head is there.
    fn send(&self, request: Request<Body>, timeouts: Timeouts) -> Sending;
}

/// A request under way.
pub type Sending = Pin<Box<dyn Future<Output = Result<Response<Body>, OutgoingError>> + Send>>;

/// Longest times to wait for the other server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the head of the answer, once there is a connection.
    pub first_byte: Duration,
    /// For each further piece of its body.
    pub between_bytes: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let minute = Duration::from_secs(60);
        Timeouts { connect: Duration::from_secs(10), first_byte: minute, between_bytes: minute }
    }
}

/// The requests that one function may send. The default may send none.
#[derive(Debug, Clone, Default)]
pub struct Outgoing(Option<Arc<Terms>>);

#[derive(Debug)]
struct Terms {
    /// `None` where there is no network.
    client: Option<Arc<dyn HttpClient>>,
    /// Patterns of hosts; `*` stands for any characters.
    allowed_hosts: Vec<String>,
    under_way: Arc<AtomicUsize>,
}

impl Outgoing {
    /// Requests to these hosts, sent by `client`.
    pub(crate) fn new(client: Option<Arc<dyn HttpClient>>, allowed_hosts: &[String]) -> Outgoing {
        let terms =
            || Terms { client, allowed_hosts: allowed_hosts.to_vec(), under_way: Arc::default() };
        Outgoing((!allowed_hosts.is_empty()).then(|| Arc::new(terms())))
    }

    /// Whether there are any.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a request. Headers about the connection and `host` are dropped: they follow from the URL.
    /// A stream is sent with the `content-length` of the head, if there is one, and has to have as many
    /// bytes.
    ///
    /// # Errors
    /// [`OutgoingError`] if it may not be sent; the future's, if it was not answered.
    pub fn send(
        &self,
        mut request: Request<Body>,
        timeouts: Timeouts,
    ) -> Result<Sending, OutgoingError> {
        let host = host(request.uri())?;
        let allowed = |terms: &&Arc<Terms>| terms.allowed_hosts.iter().any(|of| matches(of, &host));
        let terms = self.0.as_ref().filter(allowed);
        let terms = terms.ok_or_else(|| OutgoingError::Host(shown(&host)))?;
        if request.method() == Method::CONNECT {
            return Err(OutgoingError::Method(Method::CONNECT));
        }
        let client = terms.client.as_ref().ok_or(OutgoingError::NoNetwork)?;
        let is_complete = request.body().is_complete();
        let names = match request.body().trailers() {
            Some(_) => trailers::announced(request.headers()),
            None => None,
        };
        tidy(request.headers_mut(), is_complete)?;
        if let Some(TrailerNames(names)) = names {
            request.headers_mut().insert(header::TRAILER, names);
        }
        let place = Place::take(&terms.under_way)?;
        let sending = client.send(request, timeouts);
        Ok(Box::pin(async move { Ok(sending.await?.map(|body| place.hold(body))) }))
    }
}

/// The host of a request's URL.
///
/// # Errors
/// [`OutgoingError::Url`].
fn host(url: &Uri) -> Result<String, OutgoingError> {
    let is_http = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&url.scheme());
    let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let host = url.host().filter(|host| is_http && !has_user && !host.is_empty());
    host.map(str::to_owned).ok_or_else(|| OutgoingError::no_url(&url.to_string()))
}

/// Drops headers that are not a guest's to send.
fn tidy(headers: &mut HeaderMap, is_complete: bool) -> Result<(), OutgoingError> {
    head::check_headers(headers).map_err(OutgoingError::Head)?;
    headers.remove(header::HOST);
    headers.remove(HeaderName::from_static("http2-settings"));
    if is_complete {
        headers.remove(header::CONTENT_LENGTH);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::task::{Context, Poll};
    use wfaas_vm::BoxError;
    use wfaas_wasi::ByteStream;

    /// Answers with the request's head and body.
    #[derive(Debug)]
    struct Echo;

    impl HttpClient for Echo {
        fn send(&self, request: Request<Body>, _timeouts: Timeouts) -> Sending {
            let (head, body) = request.into_parts();
            let mut answer = Response::new(body);
            *answer.headers_mut() = head.headers;
            Box::pin(std::future::ready(Ok(answer)))
        }
    }

    /// A body that never ends.
    struct Endless;

    impl ByteStream for Endless {
        fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
            Poll::Pending
        }
    }

    fn outgoing(hosts: &[&str]) -> Outgoing {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Outgoing::new(Some(Arc::new(Echo)), &hosts)
    }

    fn request(url: &str) -> Request<Body> {
        Request::get(url).body(Body::default()).unwrap()
    }

    fn ready(sending: Sending) -> Response<Body> {
        let mut sending = sending;
        match sending.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(answer) => answer.unwrap(),
            Poll::Pending => panic!("it waits"),
        }
    }

    fn refused(outgoing: &Outgoing, request: Request<Body>) -> OutgoingError {
        outgoing.send(request, Timeouts::default()).err().expect("a refusal")
    }

    #[test]
    fn a_request_goes_to_an_allowed_host_by_http() {
        let some = outgoing(&["a.example"]);
        assert_eq!(
            refused(&some, request("http://b.example/")),
            OutgoingError::Host("b.example".to_owned())
        );
        assert!(matches!(
            refused(&Outgoing::default(), request("http://a.example/")),
            OutgoingError::Host(_)
        ));
        for url in ["/x", "ftp://a.example/", "http://u:p@a.example/", "a.example:80"] {
            let refusal = refused(&some, request(url));
            assert!(matches!(refusal, OutgoingError::Url(_)), "{url}: {refusal}");
        }
        let mut tunnel = request("http://a.example/");
        *tunnel.method_mut() = Method::CONNECT;
        assert_eq!(refused(&some, tunnel), OutgoingError::Method(Method::CONNECT));
    }

    #[test]
    fn headers_of_the_connection_stay_here() {
        let mut sent = request("http://a.example:81/");
        for (name, value) in [
            ("host", "other.example"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("x-kept", "2"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            sent.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = ready(outgoing(&["a.example"]).send(sent, Timeouts::default()).unwrap());
        let names: Vec<&str> = answer.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-kept"]);
    }

    #[test]
    fn a_function_has_so_many_requests_at_once() {
        let some = outgoing(&["*"]);
        let endless = || {
            let body = Body::stream(Box::new(Endless));
            let request = Request::get("http://a.example/").body(body).unwrap();
            some.send(request, Timeouts::default())
        };
        let mut answers: Vec<_> = (0..MAX_REQUESTS).map(|_| ready(endless().unwrap())).collect();
        assert_eq!(endless().err(), Some(OutgoingError::TooMany));
        answers.pop();
        drop(endless().unwrap());
        drop(ready(some.send(request("http://a.example/"), Timeouts::default()).unwrap()));
        assert!(endless().is_ok(), "a place is free after a complete answer");
    }
}
