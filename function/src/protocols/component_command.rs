//! Command components: a program that reads the body from stdin and writes the answer to stdout, by
//! `wasi:cli/run` of WASI 0.2 or 0.3.

use super::component::{self, Granted, Task};
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Outcome, Protocol, Replies, Streams, Turn};
use crate::resolver::{Entry, Resolver};
use crate::state::State;
use std::sync::Arc;
use std::task::{Context, Poll};
use wfaas_vm::{Linker, Module};
use wfaas_wasi::HasWasi;
use wfaas_wasi::preview3::Waited;

/// The protocol.
pub(super) struct ComponentCommand;

/// The interface that a command exports.
const RUN: (&str, &str) = ("wasi:cli/run@0.2", "run");

/// The same of WASI 0.3, where it is a task.
const RUN_ASYNC: (&str, &str) = ("wasi:cli/run@0.3", "run");

static ABOUT: About = About {
    name: "component-command",
    description: "command component: the body is on stdin, the answer is what it writes to stdout",
    guest: "command component",
    exports: &[],
    imports: &[],
    lifted: &[RUN, RUN_ASYNC],
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
        let granted = Granted::new(resolver.spec());
        if let Ok((bindings, export)) = component::export(resolver, RUN_ASYNC.0, RUN_ASYNC.1) {
            let run = Task::prepare(resolver, bindings, &export)?;
            return Ok(Box::new(PreparedTask { run, granted }));
        }
        let (_, export) = component::export(resolver, RUN.0, RUN.1)?;
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

    fn replies(&self) -> Replies {
        Replies::IfGuestWaits
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
        turn.answer_stdout();
        Ok(Next::Done)
    }
}

/// A command that is a task.
struct PreparedTask {
    run: Task<()>,
    granted: Arc<Granted>,
}

impl Conversation for PreparedTask {
    fn streams(&self) -> Streams {
        Streams::Exchange
    }

    fn replies(&self) -> Replies {
        Replies::IfGuestWaits
    }

    fn wait(
        &self,
        turn: &mut Turn<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Waited, InvokeError>> {
        self.run.wait(turn, context)
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            let state = turn.target.state();
            self.granted.give(state);
            state.wasi().resources().begin_task(|_, _| Ok(()));
            return Ok(self.run.start(turn, ()));
        }
        let code = match turn.outcome() {
            Outcome::Exited(code) => code,
            Outcome::Returned => match self.run.go_on(turn)? {
                Some(next) => return Ok(next),
                None => turn.target.state().wasi().resources().task_failed().into(),
            },
        };
        if code != 0 {
            return Err(InvokeError::Exit(code));
        }
        turn.answer_stdout();
        Ok(Next::Done)
    }
}
