//! The driver: makes the calls that a conversation asks for, one after the other.

use crate::cells::Cells;
use crate::invoke::InvokeError;
use crate::parking;
use crate::protocol::{Conversation, Next, Outcome, Turn};
use crate::target::{FaasletTarget, Target};
use crate::waiting::{self, turns};
use std::task::{Context, Poll};
use std::time::Duration;
use wfaas_vm::{Error, Val};
use wfaas_wasi::preview3::Waited;

/// The entry point to call, by its place in the lists of a target.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callee {
    Cells(usize),
    List(usize),
}

/// The next step of an exchange.
enum Step {
    Call(Callee),
    Wait,
    Again,
    Done,
}

/// An exchange under way, between two calls.
struct Course {
    number: usize,
    outcome: Outcome,
    /// Whether the guest reads its next request.
    waits: bool,
    cells: Cells,
    list: Vec<Val>,
}

impl Course {
    fn new() -> Course {
        let (outcome, cells) = (Outcome::Returned, Cells::default());
        Course { number: 0, outcome, waits: false, cells, list: Vec::new() }
    }

    /// Asks the conversation for the next step. The arguments of a call are in the cells, or in the list.
    fn next(
        &mut self,
        conversation: &dyn Conversation,
        target: &mut dyn Target,
        output_limit: u64,
    ) -> Result<Step, InvokeError> {
        let mut turn = self.turn(target, output_limit, None);
        let next = conversation.turn(&mut turn)?;
        let cells = turn.cells;
        if matches!(next, Next::Call(_) | Next::Wait) {
            self.cells = cells;
            self.number += 1;
        }
        Ok(match next {
            Next::Call(ready) => Step::Call(ready.0),
            Next::Wait => Step::Wait,
            Next::Again => Step::Again,
            Next::Done => Step::Done,
        })
    }

    /// Waits for what the conversation asked for.
    fn wait(
        &mut self,
        conversation: &dyn Conversation,
        target: &mut dyn Target,
        output_limit: u64,
        patience: Option<Duration>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Waited, InvokeError>> {
        conversation.wait(&mut self.turn(target, output_limit, patience), context)
    }

    /// The exchange as a conversation sees it.
    fn turn<'a>(
        &'a mut self,
        target: &'a mut dyn Target,
        output_limit: u64,
        patience: Option<Duration>,
    ) -> Turn<'a> {
        let Course { number, outcome, cells, .. } = *self;
        Turn { number, outcome, cells, list: &mut self.list, target, output_limit, patience }
    }

    /// Takes what became of the call.
    fn called(&mut self, result: Result<(), Error>) -> Result<(), InvokeError> {
        self.outcome = match result.map_err(InvokeError::from) {
            Ok(()) => Outcome::Returned,
            Err(InvokeError::Exit(code)) => Outcome::Exited(code),
            Err(InvokeError::NextRequest(_)) => {
                self.waits = true;
                Outcome::Returned
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

/// Has a guest take part in the exchange in its state, to its end. Whether it reads its next request then.
pub(crate) fn drive(
    conversation: &dyn Conversation,
    target: &mut dyn Target,
    output_limit: u64,
) -> Result<bool, InvokeError> {
    let mut course = Course::new();
    loop {
        let result = match course.next(conversation, target, output_limit)? {
            Step::Call(Callee::Cells(index)) => target.call(index, &mut course.cells),
            Step::Call(Callee::List(index)) => target.call_list(index, &mut course.list),
            Step::Wait => {
                waiting::hold(|context| {
                    course.wait(conversation, target, output_limit, None, context)
                })?;
                Ok(())
            }
            Step::Again => continue,
            Step::Done => return Ok(course.waits),
        };
        course.called(result)?;
    }
}

/// The same; host functions that the guest calls may wait.
pub(crate) async fn drive_async(
    conversation: &dyn Conversation,
    target: &mut FaasletTarget<'_>,
    output_limit: u64,
) -> Result<bool, InvokeError> {
    let mut course = Course::new();
    loop {
        let result = match course.next(conversation, target, output_limit)? {
            Step::Call(Callee::Cells(index)) => target.call_async(index, &mut course.cells).await,
            // Boxed: exchanges without lists have no memory for it.
            Step::Call(Callee::List(index)) => {
                Box::pin(target.call_list_async(index, &mut course.list)).await
            }
            Step::Wait => {
                parking::wait(target, |target, patience, context| {
                    course.wait(conversation, target, output_limit, patience, context)
                })
                .await?;
                Ok(())
            }
            Step::Again => {
                turns().await;
                continue;
            }
            Step::Done => return Ok(course.waits),
        };
        course.called(result)?;
    }
}
