//! Answers each request with the same line.

use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

impl Guest for Hello {
    fn handle(_: IncomingRequest, answer: ResponseOutparam) {
        let line = b"hello, world from Awesome FaaS App!\n";
        // Without it, one of the servers would send chunks.
        let length = ("content-length".to_owned(), line.len().to_string().into_bytes());
        let fields = Fields::from_list(&[length]).expect("a valid header");
        let response = OutgoingResponse::new(fields);
        let body = response.body().expect("a body, asked for once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("a stream, asked for once");
        stream.blocking_write_and_flush(line).expect("a client that listens");
        drop(stream);
        OutgoingBody::finish(body, None).expect("a body without a promised length");
    }
}

wasi::http::proxy::export!(Hello);
