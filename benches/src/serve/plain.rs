//! The plain server: hyper as it comes, and nothing around it. No routing, ids, limits or log.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use tokio::net::TcpListener;

/// An error of a body, as hyper takes it.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Has each request answered by `answer`.
pub(super) async fn serve<B, F>(
    listener: std::net::TcpListener,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let response = answer(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An answer with a body that is there.
#[allow(dead_code, reason = "the server of `benches/wasi-http` has another")]
pub(super) fn respond(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    add_headers(response.headers_mut());
    response
}

/// Adds the headers of a gateway's answer: the same bytes on the wire, but for the value of the id.
pub(super) fn add_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    let name = HeaderName::from_static("x-request-id");
    headers.insert(name, HeaderValue::from_static("00000000-00000000"));
}
