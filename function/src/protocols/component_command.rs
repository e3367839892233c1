//! Command components: a program that reads the body from stdin and writes the answer to stdout, by
//! `wasi:cli/run`.

use super::component::{self, Granted};
use crate::exchange::Body;
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Outcome, Protocol, Streams, Turn};
use crate::resolver::{Entry, Resolver};
use crate::state::State;
use std::sync::Arc;
use wfaas_vm::{Linker, Module};

/// The protocol.
pub(super) struct ComponentCommand;

/// The interface that a command exports.
const RUN: (&str, &str) = ("wasi:cli/run@0.2", "run");

static ABOUT: About = About {
    name: "component-command",
    description: "command component: the body is on stdin, the answer is what it writes to stdout",
    guest: "command component",
    exports: &[],
    imports: &[],
    lifted: &[RUN],
    body: "stdin",
    answer: "stdout",
    example: "",
    example_imports: "",
};

impl Protocol for ComponentCommand {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        let (_, export) = component::export(resolver, RUN.0, RUN.1)?;
        let granted = Granted::new(resolver.spec());
        Ok(Box::new(Prepared { run: resolver.func(&export.core)?, granted }))
    }

    fn link(&self, linker: &mut Linker<State>, module: &Module) {
        component::link(linker, module);
    }
}

struct Prepared {
    /// The `result` of the program: 0 is `ok`.
    run: Entry<(), u32>,
    granted: Arc<Granted>,
}

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Exchange
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            self.granted.give(turn.target.state());
            return Ok(turn.call(&self.run, ()));
        }
        let code = match turn.outcome() {
            Outcome::Returned => turn.results::<u32>()?.min(1),
            Outcome::Exited(code) => code,
        };
        if code != 0 {
            return Err(InvokeError::Exit(code));
        }
        *turn.exchange().answer.body_mut() = Body::complete(turn.take_stdout());
        Ok(Next::Done)
    }
}
