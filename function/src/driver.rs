//! The driver: makes the calls that a conversation asks for, one after the other.

use crate::cells::Cells;
use crate::invoke::InvokeError;
use crate::protocol::{Conversation, Next, Outcome, Turn};
use crate::target::{FaasletTarget, Target};
use wfaas_vm::{Error, Val};

/// The entry point to call, by its place in the lists of a target.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callee {
    Cells(usize),
    List(usize),
}

/// An exchange under way, between two calls.
struct Course {
    number: usize,
    outcome: Outcome,
    cells: Cells,
    list: Vec<Val>,
}

impl Course {
    fn new() -> Course {
        let (outcome, cells) = (Outcome::Returned, Cells::default());
        Course { number: 0, outcome, cells, list: Vec::new() }
    }

    /// Asks the conversation for the next call: its entry point. The arguments are in the cells.
    fn next(
        &mut self,
        conversation: &dyn Conversation,
        target: &mut dyn Target,
        output_limit: u64,
    ) -> Result<Option<Callee>, InvokeError> {
        let Course { number, outcome, cells, .. } = *self;
        let list = &mut self.list;
        let mut turn = Turn { number, outcome, cells, list, target, output_limit };
        let Next::Call(ready) = conversation.turn(&mut turn)? else { return Ok(None) };
        self.cells = turn.cells;
        self.number += 1;
        Ok(Some(ready.0))
    }

    /// Takes what became of the call.
    fn called(&mut self, result: Result<(), Error>) -> Result<(), InvokeError> {
        self.outcome = match result.map_err(InvokeError::from) {
            Ok(()) => Outcome::Returned,
            Err(InvokeError::Exit(code)) => Outcome::Exited(code),
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

/// Has a guest take part in the exchange in its state, to its end.
pub(crate) fn drive(
    conversation: &dyn Conversation,
    target: &mut dyn Target,
    output_limit: u64,
) -> Result<(), InvokeError> {
    let mut course = Course::new();
    while let Some(callee) = course.next(conversation, target, output_limit)? {
        let result = match callee {
            Callee::Cells(index) => target.call(index, &mut course.cells),
            Callee::List(index) => target.call_list(index, &mut course.list),
        };
        course.called(result)?;
    }
    Ok(())
}

/// The same; host functions that the guest calls may wait.
pub(crate) async fn drive_async(
    conversation: &dyn Conversation,
    target: &mut FaasletTarget<'_>,
    output_limit: u64,
) -> Result<(), InvokeError> {
    let mut course = Course::new();
    while let Some(callee) = course.next(conversation, target, output_limit)? {
        let result = match callee {
            Callee::Cells(index) => target.call_async(index, &mut course.cells).await,
            // Boxed: exchanges without lists have no memory for it.
            Callee::List(index) => Box::pin(target.call_list_async(index, &mut course.list)).await,
        };
        course.called(result)?;
    }
    Ok(())
}
