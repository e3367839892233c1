//! WASI commands: a program that reads the body from stdin and writes the answer to stdout.
//!
//! The answer goes out while the program runs, from the first time on that it waits: for more of its
//! request, for a time, or for room in the reply. A program that fails before has sent nothing.

use crate::invoke::InvokeError;
use crate::protocol::{
    About, Conversation, Next, Outcome, Protocol, Replies, Required, Streams, Turn,
};
use crate::resolver::{Entry, Resolver};

/// The protocol.
pub(super) struct Command;

/// Runs the program.
pub(super) const START: &str = "_start";

/// Text of a guest that is a command.
pub(super) const EXAMPLE: &str = r#"(func (export "_start") (drop (call $run (i32.const 1))))"#;

static ABOUT: About = About {
    name: "wasi",
    description: "WASI command: the body is on stdin, the answer is what it writes to stdout",
    guest: "WASI command",
    exports: &[Required::func(START, &[], &[])],
    imports: &[],
    lifted: &[],
    body: "stdin",
    answer: "stdout",
    example: EXAMPLE,
    example_imports: "",
};

impl Protocol for Command {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        Ok(Box::new(Prepared { start: resolver.func(START)? }))
    }
}

struct Prepared {
    start: Entry<(), ()>,
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
            return Ok(turn.call(&self.start, ()));
        }
        match turn.outcome() {
            Outcome::Returned | Outcome::Exited(0) => {
                turn.answer_stdout();
                Ok(Next::Done)
            }
            Outcome::Exited(code) => Err(InvokeError::Exit(code)),
        }
    }
}
