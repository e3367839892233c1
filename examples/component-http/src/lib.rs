//! Answers each request with its method and path.

use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Echo;

impl Guest for Echo {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let method = match request.method() {
            Method::Get => "GET",
            Method::Post => "POST",
            _ => "another method",
        };
        let path = request.path_with_query().unwrap_or_default();
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("a body, asked for once");
        // The head is sent here; the body follows as it is written.
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("a stream, asked for once");
        let text = format!("hello from a component: {method} {path}\n");
        stream.blocking_write_and_flush(text.as_bytes()).expect("a client that listens");
        // A stream ends before its body does.
        drop(stream);
        OutgoingBody::finish(body, None).expect("a body without a promised length");
    }
}

wasi::http::proxy::export!(Echo);
