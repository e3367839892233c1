//! The plain server: hyper as it comes, and nothing around it. No routing, ids, limits or log.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use tokio::net::TcpListener;

/// Answers each request with a body that `make` makes.
pub(super) async fn serve(
    listener: std::net::TcpListener,
    make: impl Fn() -> Bytes + Clone + Send + 'static,
) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let make = make.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let response = respond(make());
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The headers of a gateway's answer: the same bytes on the wire, but for the value of the id.
fn respond(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    let name = HeaderName::from_static("x-request-id");
    headers.insert(name, HeaderValue::from_static("00000000-00000000"));
    response
}
