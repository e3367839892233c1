//! The function: the body of a request in, the body of the answer out.
//!
//! Each request has an instance of its own, in the state that `prepare` left. Nothing has to be freed.

mod faas;

/// Runs once, when the function is built: load tables and models here. Requests start from the memory
/// that it leaves.
fn prepare() {}

/// Answers a request.
fn handle(body: &[u8]) -> Vec<u8> {
    let body = String::from_utf8_lossy(body);
    let name = match body.trim() {
        "" => "world",
        name => name,
    };
    format!("hello, {name}\n").into_bytes()
}
