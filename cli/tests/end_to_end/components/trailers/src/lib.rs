//! Answers with the bytes of the request's body, and with its trailers behind it, by WASI 0.2. The query of a path is the
//! address of another server: it gets the same request, and its answer is passed on.

use wasi::exports::http::incoming_handler::Guest;
use wasi::http::outgoing_handler;
use wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};

struct Program;

/// Names and values.
type Trailers = Vec<(String, Vec<u8>)>;

/// The bytes of a body, and its trailers. A body that is skipped is not read: its trailers come all the same.
fn received(body: IncomingBody, is_skipped: bool) -> (Vec<u8>, Trailers) {
    let mut bytes = Vec::new();
    let stream = body.stream().unwrap();
    while !is_skipped && let Ok(piece) = stream.blocking_read(10_000) {
        bytes.extend(piece);
    }
    drop(stream);
    let future = IncomingBody::finish(body);
    let ready = future.subscribe();
    ready.block();
    drop(ready);
    let trailers = future.get().unwrap().unwrap().unwrap();
    assert!(future.get().unwrap().is_err(), "there are trailers once");
    let mut trailers = trailers.map_or_else(Vec::new, |fields| fields.entries());
    trailers.sort();
    (bytes, trailers)
}

fn send(body: OutgoingBody, bytes: &[u8], trailers: &Trailers) -> Result<(), String> {
    let stream = body.write().unwrap();
    for piece in bytes.chunks(4096) {
        stream.blocking_write_and_flush(piece).unwrap();
    }
    drop(stream);
    let fields = Fields::from_list(trailers).unwrap();
    OutgoingBody::finish(body, Some(fields)).map_err(|error| error.to_string())
}

fn announcing() -> Fields {
    Fields::from_list(&[("trailer".to_owned(), b"x-one, x-two".to_vec())]).unwrap()
}

/// What another server answers.
fn asked(authority: &str, bytes: &[u8], trailers: &Trailers) -> (Vec<u8>, Trailers) {
    let request = OutgoingRequest::new(announcing());
    request.set_method(&Method::Post).unwrap();
    request.set_scheme(Some(&Scheme::Http)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    let body = request.body().unwrap();
    let future = outgoing_handler::handle(request, None).unwrap();
    send(body, bytes, trailers).unwrap();
    future.subscribe().block();
    let answer = future.get().unwrap().unwrap().unwrap();
    received(answer.consume().unwrap(), false)
}

impl Guest for Program {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (mut bytes, mut trailers) =
            received(request.consume().unwrap(), path.ends_with("/skipped"));
        if let Some((_, authority)) = path.split_once('?') {
            (bytes, trailers) = asked(authority, &bytes, &trailers);
        }
        if path.ends_with("/forbidden") {
            trailers = vec![("content-length".to_owned(), b"3".to_vec())];
        }
        let response = OutgoingResponse::new(announcing());
        let body = response.body().unwrap();
        ResponseOutparam::set(answer, Ok(response));
        if let Err(error) = send(body, &bytes, &trailers) {
            eprintln!("refused: {error}");
        }
    }
}

wasi::http::proxy::export!(Program);
