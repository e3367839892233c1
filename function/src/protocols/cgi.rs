//! CGI programs (RFC 3875): the request is in the environment and on stdin, stdout has head and body.
//!
//! A CGI program is a WASI command; only its configuration tells that it is one. Variables that WAGI
//! added are there too, so that its modules run unchanged.

pub(super) mod environment;
pub(super) mod program;
mod stdout;

use crate::exchange::Exchange;
use crate::invoke::InvokeError;
use crate::protocol::{
    About, Conversation, Next, Opening, Protocol, Replies, Required, Streams, Turn,
};
use crate::resolver::Resolver;
use http::header::CONTENT_LENGTH;
use program::Program;

/// The protocol.
pub(super) struct Cgi;

/// Runs the program.
pub(super) const START: &str = "_start";

/// The export of a program. A command has it too, so it is no sign of one that writes a head.
pub(super) const EXPORTS: &[Required] =
    &[Required { sign: false, ..Required::func(START, &[], &[]) }];

static ABOUT: About = About {
    name: "cgi",
    description: "CGI program (RFC 3875): a WASI command that writes head and body to stdout",
    guest: "CGI program",
    exports: EXPORTS,
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
        Ok(Box::new(Prepared(Program::new(resolver, START)?)))
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

struct Prepared(Program);

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Opened
    }

    fn replies(&self) -> Replies {
        Replies::Always
    }

    fn redirects(&self) -> bool {
        true
    }

    fn begin(&self, exchange: &mut Exchange) -> Result<(), InvokeError> {
        environment::check(exchange)?;
        self.0.remove_credentials(exchange);
        announce(exchange);
        exchange.arguments = environment::arguments(exchange);
        exchange.variables = environment::variables(exchange);
        Ok(())
    }

    fn open(&self, exchange: &Exchange) -> Opening {
        self.0.open(exchange)
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        self.0.turn(turn)
    }
}
