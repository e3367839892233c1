//! ActionLoop programs of Apache OpenWhisk (`docs/actions-actionloop.md`): a request is a line of JSON on stdin, and
//! the answer is one on descriptor 3.
//!
//! ```text
//!   stdin         {"value":{"name":"Ada"}}
//!   descriptor 3  {"greeting":"hello, Ada"}
//! ```
//!
//! `value` is the request's body, an object; none counts as an empty one. Where the guest has directories, which have
//! the descriptors from 3 on, its answer is a line on stdout. A program is never run to its end: the answer is
//! complete with the line's end. So it suits programs that were captured where they wait.

use super::action::{answer, fail, log, result};
use super::cgi::{EXPORTS, START};
use crate::exchange::{Body, Exchange};
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Outcome, Protocol, Streams, Turn};
use crate::resolver::{Entry, Resolver};
use serde_json::value::RawValue;

/// The protocol.
pub(super) struct ActionLoop;

static ABOUT: About = About {
    name: "actionloop",
    description: "ActionLoop program: reads a line of JSON from stdin, and writes one to descriptor 3",
    guest: "loop of actions",
    exports: EXPORTS,
    body: "stdin, in a line of JSON",
    answer: "a line on descriptor 3 (stdout if there are directories)",
    imports: &[],
    lifted: &[],
    example_imports: r#"(import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))"#,
    example: r#"(data (i32.const 512) "{\"ok\":true}\n")
        (data (i32.const 544) "\00\02\00\00\0c\00\00\00")
        (func (export "_start")
            (drop (call $run (i32.const 1)))
            (drop (call $fd_write
                (i32.const 3) (i32.const 544) (i32.const 1) (i32.const 552))))"#,
};

impl Protocol for ActionLoop {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        Ok(Box::new(Prepared(resolver.func(START)?)))
    }

    fn record(&self, exchange: &mut Exchange) -> Option<Result<Vec<u8>, InvokeError>> {
        Some(record(exchange))
    }

    fn has_results(&self) -> bool {
        true
    }
}

/// The request as a line; takes its body.
fn record(exchange: &mut Exchange) -> Result<Vec<u8>, InvokeError> {
    let mut body = exchange.request.body_mut().take();
    if body.trim_ascii().is_empty() {
        body = b"{}".to_vec();
    }
    let refused = InvokeError::Request("the request's body is no JSON object");
    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(value) if value.get().starts_with('{') => {}
        _ => return Err(refused),
    }
    // Line ends are between tokens: inside of a string JSON has none.
    let in_a_line = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    let body: Vec<u8> = body.trim_ascii().iter().map(in_a_line).collect();
    Ok([br#"{"value":"#, &body[..], b"}\n"].concat())
}

struct Prepared(Entry<(), ()>);

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Line
    }

    fn answers_in_turn(&self) -> bool {
        true
    }

    fn begin(&self, exchange: &mut Exchange) -> Result<(), InvokeError> {
        let record = record(exchange)?;
        *exchange.request.body_mut() = Body::complete(record);
        Ok(())
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            return Ok(turn.call(&self.0, ()));
        }
        let (outcome, written) = (turn.outcome(), turn.take_stdout());
        // A program that goes on to its next request may write more.
        let end = written.iter().position(|byte| *byte == b'\n').map_or(written.len(), |at| at + 1);
        let (line, more) = written.split_at(end);
        log(turn, more);
        match outcome {
            Outcome::Exited(code @ 1..) => {
                log(turn, line);
                fail(turn, &format!("The action exited with code {code}. See logs for details."));
            }
            Outcome::Returned | Outcome::Exited(_) => answer(turn, result::parse(line)),
        }
        Ok(Next::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: &str) -> Result<String, String> {
        let record = record(&mut Exchange::with_body(body));
        record.map(|line| String::from_utf8(line).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_is_one_line() {
        assert_eq!(
            line("{\n  \"a\": \"b\\n\"\r\n}\n").unwrap(),
            "{\"value\":{   \"a\": \"b\\n\"  }}\n"
        );
        assert_eq!(line("").unwrap(), "{\"value\":{}}\n");
        for wrong in ["[1]", "1", "{", "{} {}", "{\"a\": \"\n\"}", "\u{0}"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }
}
