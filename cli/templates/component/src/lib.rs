//! A component for `wasi:http/proxy`: the same file runs in every host of that interface.

use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::streams::StreamError;

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let body = body(&request);
        let body = String::from_utf8_lossy(&body);
        let name = match body.trim() {
            "" => "world",
            name => name,
        };

        let headers = Fields::new();
        headers.append("content-type", b"text/plain; charset=utf-8").expect("a valid header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("a body, asked for once");
        // The head is sent here; the body follows as it is written.
        ResponseOutparam::set(answer, Ok(response));

        let stream = body.write().expect("a stream, asked for once");
        for piece in format!("hello, {name}\n").as_bytes().chunks(4096) {
            if stream.blocking_write_and_flush(piece).is_err() {
                return; // the client has left
            }
        }
        // A stream ends before its body does.
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

/// All bytes of a request's body, as far as they arrive.
fn body(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("a body, asked for once");
    let stream = body.stream().expect("a stream, asked for once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return bytes,
            Err(error) => panic!("the body broke off: {error}"),
        }
    }
}

wasi::http::proxy::export!(Component);
