//! Counts, by name, in a key-value store, which outlives the requests. The name is the last part of the path.

mod keyvalue {
    wit_bindgen::generate!({ path: "wit", world: "counter", generate_all });
}

use keyvalue::wasi::keyvalue::{atomics, store};
use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Counter;

/// A POST counts, any other request looks.
fn count(request: &IncomingRequest) -> Result<String, store::Error> {
    // One of the names under `[stores]` in faas.toml.
    let bucket = store::open("default")?;
    let path = request.path_with_query().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("all");
    match request.method() {
        // Of requests at the same time, each sees a number of its own.
        Method::Post => Ok(atomics::increment(&bucket, name, 1)?.to_string()),
        _ => {
            let count = bucket.get(name)?.unwrap_or(b"0".to_vec());
            Ok(String::from_utf8_lossy(&count).into_owned())
        }
    }
}

impl Guest for Counter {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let text = match count(&request) {
            Ok(count) => format!("{count}\n"),
            Err(error) => {
                response.set_status_code(503).expect("a status");
                format!("{error}\n")
            }
        };
        let body = response.body().expect("a body, asked for once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("a stream, asked for once");
        stream.blocking_write_and_flush(text.as_bytes()).expect("a client that listens");
        drop(stream);
        OutgoingBody::finish(body, None).expect("a body without a promised length");
    }
}

wasi::http::proxy::export!(Counter);
