//! CGI programs (RFC 3875): the request is in the environment and on stdin, stdout has head and body.
//!
//! A CGI program is a WASI command; only its configuration tells that it is one. Variables that WAGI
//! added are there too, so that its modules run unchanged.

pub(super) mod environment;
pub(super) mod stdout;

use crate::exchange::Exchange;
use crate::invoke::InvokeError;
use crate::protocol::{
    About, Conversation, Next, Opening, Outcome, Protocol, Required, Streams, Turn,
};
use crate::resolver::{Entry, Resolver};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, PROXY_AUTHORIZATION};
use stdout::Stdout;
use wfaas_wasi::Output;

/// The protocol.
pub(super) struct Cgi;

/// Runs the program.
const START: &str = "_start";

static ABOUT: About = About {
    name: "cgi",
    description: "CGI program (RFC 3875): a WASI command that writes head and body to stdout",
    guest: "CGI program",
    // A command's exports do not tell that it writes a head.
    exports: &[Required { sign: false, ..Required::func(START, &[], &[]) }],
    body: "stdin",
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

impl Protocol for Cgi {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn tells_by_environment(&self) -> bool {
        true
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        let spec = resolver.spec();
        Ok(Box::new(Prepared {
            start: resolver.func(START)?,
            name: spec.name().to_owned(),
            passes_authorization: spec.pass_authorization == Some(true),
        }))
    }
}

/// Announces the length of a body that is all there, whether its client did or not: programs read as
/// many bytes as `CONTENT_LENGTH` says.
fn announce(exchange: &mut Exchange) {
    let length = exchange.request.body().is_complete().then(|| exchange.request.body().len());
    if let Some(length) = length.filter(|length| *length > 0) {
        exchange.request.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
}

/// Removes the client's credentials, which are the server's to check.
pub(super) fn remove_authorization(exchange: &mut Exchange) {
    let headers = exchange.request.headers_mut();
    headers.remove(AUTHORIZATION);
    headers.remove(PROXY_AUTHORIZATION);
}

struct Prepared {
    start: Entry<(), ()>,
    /// Of the function, for the log.
    name: String,
    passes_authorization: bool,
}

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Opened
    }

    fn replies(&self) -> bool {
        true
    }

    fn begin(&self, exchange: &mut Exchange) -> Result<(), InvokeError> {
        environment::check(exchange)?;
        if !self.passes_authorization {
            remove_authorization(exchange);
        }
        announce(exchange);
        exchange.arguments = environment::arguments(exchange);
        exchange.variables = environment::variables(exchange);
        Ok(())
    }

    fn open(&self, exchange: &Exchange) -> Opening {
        let reply = exchange.reply.clone().unwrap_or_default();
        let stdout = Stdout::new(reply, &self.name, &exchange.id);
        let handle = stdout.clone();
        Opening {
            stdout: Output::stream(Box::new(stdout)),
            finish: Box::new(move || handle.finish().map_err(InvokeError::Head)),
        }
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            return Ok(turn.call(&self.start, ()));
        }
        match turn.outcome() {
            Outcome::Returned | Outcome::Exited(0) => {
                turn.finish()?;
                Ok(Next::Done)
            }
            Outcome::Exited(code) => Err(InvokeError::Exit(code)),
        }
    }
}
