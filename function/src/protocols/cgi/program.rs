//! Programs that write a head and a body to stdout, whichever way they are told their requests.

use super::stdout::Stdout;
use crate::exchange::Exchange;
use crate::invoke::InvokeError;
use crate::protocol::{Next, Opening, Outcome, Turn};
use crate::resolver::{Entry, Resolver};
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use wfaas_wasi::Output;

/// A program, as it is prepared for all requests.
pub(in crate::protocols) struct Program {
    start: Entry<(), ()>,
    /// Of the function, for the log.
    name: String,
    passes_authorization: bool,
}

impl Program {
    /// Looks up the program with the entry point `start`.
    ///
    /// # Errors
    /// If it has no entry point.
    pub(in crate::protocols) fn new(
        resolver: &mut Resolver<'_>,
        start: &str,
    ) -> Result<Program, wfaas_vm::Error> {
        let spec = resolver.spec();
        Ok(Program {
            start: resolver.func(start)?,
            name: spec.name().to_owned(),
            passes_authorization: spec.pass_authorization == Some(true),
        })
    }

    /// Removes the client's credentials, which are the server's to check, unless the function asks for them.
    pub(in crate::protocols) fn remove_credentials(&self, exchange: &mut Exchange) {
        if !self.passes_authorization {
            let headers = exchange.request.headers_mut();
            headers.remove(AUTHORIZATION);
            headers.remove(PROXY_AUTHORIZATION);
        }
    }

    /// Opens stdout: its head begins the reply, its body is the rest.
    pub(in crate::protocols) fn open(&self, exchange: &Exchange) -> Opening {
        Program::opening(self.stdout(exchange))
    }

    /// The same for a program that is not run on once it has closed stdout.
    pub(in crate::protocols) fn open_to_close(&self, exchange: &Exchange) -> Opening {
        Program::opening(self.stdout(exchange).that_ends())
    }

    fn stdout(&self, exchange: &Exchange) -> Stdout {
        let reply = exchange.reply.clone().unwrap_or_default();
        Stdout::new(reply, &self.name, &exchange.id)
    }

    fn opening(stdout: Stdout) -> Opening {
        let handle = stdout.clone();
        Opening {
            stdout: Output::stream(Box::new(stdout)),
            finish: Box::new(move || handle.finish().map_err(InvokeError::Head)),
        }
    }

    /// Runs the program, then finishes its answer.
    pub(in crate::protocols) fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
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
