//! OpenWhisk actions: the parameters are a JSON object, and so is the result.
//!
//! A guest gets its parameters in one of two ways:
//!
//! * a command gets them on stdin, and as its last argument if they are short. The last line that it
//!   writes to stdout is the result; the lines before are for the log;
//! * a guest with the exports of a *buffer* finds them there, with their length as its last argument,
//!   and leaves `{"Ok": result}` or `{"Err": error}` in it (WebAssembly-flavored OpenWhisk).

mod buffer;
pub(super) mod result;

pub use buffer::BadBuffer;

use super::command;
use crate::exchange::{Body, Exchange};
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Outcome, Protocol, Required, Streams, Turn};
use crate::resolver::{Entry, Resolver};
use buffer::Buffer;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use wfaas_vm::{FuncType, untrusted};
use wfaas_wasi::LogEvent;

/// The protocol.
pub(super) struct Action;

/// The name of the protocol: no export speaks for an action.
pub const NAME: &str = "action";

/// Most bytes of parameters that are an argument too.
const MAX_ARGUMENT: usize = 64 << 10;

static ABOUT: About = About {
    name: NAME,
    description: "OpenWhisk action: parameters and result are JSON objects",
    guest: "whisk action",
    exports: &[Required::memory("memory")],
    imports: &[],
    lifted: &[],
    body: "stdin, or a buffer",
    answer: "last line of stdout, or the buffer",
    example: command::EXAMPLE,
    example_imports: "",
};

impl Protocol for Action {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        let entry = FuncType::new([], []);
        let named = resolver.spec().export.as_deref();
        let named = named.filter(|name| resolver.func_type(name).as_ref() == Some(&entry));
        let program = resolver.func(named.unwrap_or(command::START))?;
        match Buffer::resolve(resolver)? {
            Some(buffer) => Ok(Box::new(buffer::Prepared { program, buffer })),
            None => Ok(Box::new(Command { program })),
        }
    }
}

/// A command.
struct Command {
    program: Entry<(), ()>,
}

impl Conversation for Command {
    fn streams(&self) -> Streams {
        Streams::Captured
    }

    fn begin(&self, exchange: &mut Exchange) -> Result<(), InvokeError> {
        let body = exchange.request.body_mut();
        let mut parameters = body.take();
        if parameters.len() <= MAX_ARGUMENT
            && let Ok(text) = std::str::from_utf8(&parameters)
            && !text.contains('\0')
        {
            exchange.arguments.push(text.to_owned());
        }
        parameters.push(b'\n'); // for those who read a line
        *body = Body::complete(parameters);
        Ok(())
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            return Ok(turn.call(&self.program, ()));
        }
        let outcome = turn.outcome();
        let stdout = turn.take_stdout();
        if let Outcome::Exited(code @ 1..) = outcome {
            log(turn, &stdout);
            fail(turn, &format!("The action exited with code {code}. See logs for details."));
            return Ok(Next::Done);
        }
        let (lines, last) = result::split(&stdout);
        log(turn, lines);
        answer(turn, result::parse(last));
        Ok(Next::Done)
    }
}

/// Gives what an action wrote to stdout to the log.
pub(super) fn log(turn: &mut Turn<'_>, lines: &[u8]) {
    if let Some(log) = &turn.exchange().log {
        return log.stdout(lines);
    }
    let lines = &lines[..lines.len().min(MAX_LOG)];
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        for piece in line.chunks(untrusted::MAX_LINE) {
            let piece = untrusted::line(String::from_utf8_lossy(piece)).to_string();
            turn.log(LogEvent::Line(piece));
        }
    }
}

/// Most bytes of stdout in the log of a server.
const MAX_LOG: usize = 16 << 10;

/// Answers with a result, or says that it is none.
pub(super) fn answer(turn: &mut Turn<'_>, result: Option<&str>) {
    match result {
        Some(result) => put(turn, StatusCode::OK, result),
        None => fail(turn, "The action did not return a dictionary or array."),
    }
}

/// Answers that the action failed.
pub(super) fn fail(turn: &mut Turn<'_>, message: &str) {
    put(turn, StatusCode::BAD_GATEWAY, &serde_json::json!({ "error": message }).to_string());
}

fn put(turn: &mut Turn<'_>, status: StatusCode, result: &str) {
    let answer = &mut turn.exchange().answer;
    let json = HeaderValue::from_static("application/json");
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, json);
    *answer.body_mut() = Body::complete(result);
}
