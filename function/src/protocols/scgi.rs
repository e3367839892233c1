//! SCGI programs: the request is a record on stdin, headers and body, and stdout has head and body as
//! those of CGI programs.
//!
//! ```text
//!   "70:" CONTENT_LENGTH 0 "27" 0 SCGI 0 "1" 0 REQUEST_METHOD 0 "POST" 0 ... "," body
//! ```
//!
//! N. Schemenauer, "SCGI: A Simple Common Gateway Interface alternative", 2006. There is no socket:
//! a program answers one request after another between stdin and stdout. It is never run to its end:
//! the answer is complete once it reads the next record, closes stdout, or exits. So it suits programs that were
//! captured where they wait, which have read their environment before.

use super::cgi::{EXPORTS, START, environment, program::Program};
use crate::exchange::{Body, Exchange};
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Opening, Protocol, Replies, Streams, Turn};
use crate::records::Records;
use crate::resolver::Resolver;

/// The protocol.
pub(super) struct Scgi;

static ABOUT: About = About {
    name: "scgi",
    description: "SCGI program: reads requests from stdin, and writes head and body to stdout",
    guest: "SCGI program",
    exports: EXPORTS,
    body: "stdin, after the headers",
    answer: "stdout, after a head",
    imports: &[],
    lifted: &[],
    example_imports: r#"(import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))"#,
    example: r#"(data (i32.const 512) "content-type: text/plain\n\n")
        (data (i32.const 544) "\00\02\00\00\1a\00\00\00")
        (func (export "_start")
            (drop (call $run (i32.const 1)))
            (drop (call $fd_write
                (i32.const 1) (i32.const 544) (i32.const 1) (i32.const 552))))"#,
};

impl Protocol for Scgi {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        Ok(Box::new(Prepared(Program::new(resolver, START)?)))
    }

    fn record(&self, exchange: &mut Exchange) -> Option<Result<Vec<u8>, InvokeError>> {
        Some(record(exchange))
    }
}

/// The request as a record; takes its body.
fn record(exchange: &mut Exchange) -> Result<Vec<u8>, InvokeError> {
    environment::check(exchange)?;
    let body = exchange.request.body_mut().take();
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &str| {
        // A value with a NUL in it has no form in a record.
        if !value.contains('\0') {
            [name, "\0", value, "\0"].iter().for_each(|part| headers.extend(part.as_bytes()));
        }
    };
    add("CONTENT_LENGTH", &body.len().to_string());
    add("SCGI", "1");
    for (name, value) in environment::variables(exchange) {
        if name != "CONTENT_LENGTH" {
            add(&name, &value);
        }
    }
    Ok([headers.len().to_string().as_bytes(), b":", &headers, b",", &body].concat())
}

struct Prepared(Program);

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Opened
    }

    /// A record begins with the length of the body.
    fn reads_streams(&self) -> bool {
        false
    }

    fn replies(&self) -> Replies {
        Replies::Always
    }

    fn redirects(&self) -> bool {
        true
    }

    fn answers_in_turn(&self) -> bool {
        true
    }

    fn begin(&self, exchange: &mut Exchange) -> Result<(), InvokeError> {
        self.0.remove_credentials(exchange);
        let record = record(exchange)?;
        *exchange.request.body_mut() = Body::stream(Records::one(record));
        Ok(())
    }

    fn open(&self, exchange: &Exchange) -> Opening {
        self.0.open_to_close(exchange)
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        self.0.turn(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn a_record_has_its_length_and_the_headers_first() {
        let request = Request::post("/app/x?q=1").header("x-a", "b").header("content-length", "9");
        let mut exchange = Exchange::new(request.body(Body::complete(*b"body")).unwrap());
        exchange.route_bytes = 4;
        let record = record(&mut exchange).unwrap();
        let colon = record.iter().position(|byte| *byte == b':').unwrap();
        let length: usize = std::str::from_utf8(&record[..colon]).unwrap().parse().unwrap();
        let headers = &record[colon + 1..][..length];
        assert_eq!(&record[colon + 1 + length..], b",body");
        assert!(headers.starts_with(b"CONTENT_LENGTH\x004\0SCGI\x001\0"));
        let mut parts = headers.split(|byte| *byte == 0);
        let mut found = std::collections::BTreeMap::new();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            assert_eq!(found.insert(name, value), None, "{name:?} is there twice");
        }
        let expected: [(&[u8], &[u8]); 5] = [
            (b"CONTENT_LENGTH", b"4"),
            (b"REQUEST_METHOD", b"POST"),
            (b"PATH_INFO", b"/x"),
            (b"QUERY_STRING", b"q=1"),
            (b"HTTP_X_A", b"b"),
        ];
        for (name, value) in expected {
            assert_eq!(found.get(name), Some(&value));
        }
    }
}
