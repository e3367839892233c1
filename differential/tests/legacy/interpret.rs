//! Running the tree of a program, by the rules of the legacy proposal.

use crate::program::{Program, ROUNDS, Step, WITH_NUMBER};

/// What can be seen of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    pub(crate) trace: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Returned,
    Uncaught,
}

/// An outcome, and how many exceptions were caught on the way.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) caught: usize,
}

#[derive(Debug, Clone, Copy)]
struct Exception {
    tag: u32,
    number: i32,
}

/// Where control goes after a step.
enum Flow {
    Next,
    /// To the end of an enclosing block.
    Branch(u32),
    Thrown(Exception),
    /// Thrown in an enclosing block.
    Delegated(u32, Exception),
}

struct Interpreter {
    argument: i32,
    trace: i64,
    local: i32,
    rounds: i32,
    caught: usize,
    /// The exception of each enclosing block that is a `catch` part, outermost first.
    around: Vec<Option<Exception>>,
}

/// Runs a program.
pub(crate) fn run(program: &Program, argument: i32) -> Run {
    let mut interpreter =
        Interpreter { argument, trace: 7, local: 0, rounds: ROUNDS, caught: 0, around: Vec::new() };
    let ending = match interpreter.block(None, &program.0) {
        Flow::Next => Ending::Returned,
        Flow::Thrown(_) => Ending::Uncaught,
        Flow::Branch(_) | Flow::Delegated(..) => unreachable!("labels are those of blocks"),
    };
    let outcome = Outcome { ending, trace: interpreter.trace };
    Run { outcome, caught: interpreter.caught }
}

impl Interpreter {
    /// Runs a block that catches nothing, which is the `catch` part of `exception` or none.
    fn block(&mut self, exception: Option<Exception>, body: &[Step]) -> Flow {
        match self.inside(exception, body) {
            Err(exception) => Flow::Thrown(exception),
            Ok(flow) => flow,
        }
    }

    /// Runs the inside of a block; the error is an exception that was thrown in it. The labels
    /// of the flow are those outside.
    fn inside(&mut self, part: Option<Exception>, body: &[Step]) -> Result<Flow, Exception> {
        self.around.push(part);
        let flow = self.steps(body);
        self.around.pop();
        match flow {
            Flow::Next | Flow::Branch(0) => Ok(Flow::Next),
            Flow::Branch(label) => Ok(Flow::Branch(label - 1)),
            Flow::Thrown(exception) | Flow::Delegated(0, exception) => Err(exception),
            Flow::Delegated(label, exception) => Ok(Flow::Delegated(label - 1, exception)),
        }
    }

    fn steps(&mut self, steps: &[Step]) -> Flow {
        for step in steps {
            match self.step(step) {
                Flow::Next => {}
                away => return away,
            }
        }
        Flow::Next
    }

    fn step(&mut self, step: &Step) -> Flow {
        match step {
            Step::Note(number) => self.note(*number),
            Step::Add(number) => self.local = self.local.wrapping_add(*number),
            Step::NoteLocal => self.note(self.local),
            Step::Throw { tag, number, .. } => {
                return Flow::Thrown(Exception { tag: *tag, number: *number });
            }
            Step::Rethrow(label) => {
                let part = self.around[self.around.len() - 1 - *label as usize];
                return Flow::Thrown(part.expect("the label of a catch part"));
            }
            Step::Branch(label) => return Flow::Branch(*label),
            Step::Block(body) => return self.block(None, body),
            Step::Loop(body) => return self.rounds(body),
            Step::If(bit, body) if self.argument & (1 << bit) != 0 => {
                return self.block(None, body);
            }
            Step::If(..) => {}
            Step::Delegate { body, label } => {
                return match self.inside(None, body) {
                    Err(exception) => Flow::Delegated(*label, exception),
                    Ok(flow) => flow,
                };
            }
            Step::Try { body, catches, all } => {
                return self.catching(body, catches, all.as_deref());
            }
            Step::TryTable { body, one, all } => {
                let one = one.map(|(tag, label)| (Some(tag), label));
                let clauses = [one, all.map(|label| (None, label))];
                return self.table(body, clauses.into_iter().flatten());
            }
        }
        Flow::Next
    }

    fn note(&mut self, number: i32) {
        self.trace = self.trace.wrapping_mul(31).wrapping_add(number.into());
    }

    fn rounds(&mut self, body: &[Step]) -> Flow {
        loop {
            // Branches to the label of a loop are not made, so its end is reached by steps only.
            match self.block(None, body) {
                Flow::Next => self.rounds -= 1,
                away => return away,
            }
            if self.rounds <= 0 {
                return Flow::Next;
            }
        }
    }

    fn catching(
        &mut self,
        body: &[Step],
        catches: &[(u32, Vec<Step>)],
        all: Option<&[Step]>,
    ) -> Flow {
        let exception = match self.inside(None, body) {
            Err(exception) => exception,
            Ok(flow) => return flow,
        };
        let one = catches.iter().find(|(tag, _)| *tag == exception.tag);
        if one.is_some() && exception.tag == WITH_NUMBER {
            self.note(exception.number);
        }
        match one.map(|(_, part)| &part[..]).or(all) {
            Some(part) => {
                self.caught += 1;
                self.block(Some(exception), part)
            }
            None => Flow::Thrown(exception),
        }
    }

    /// A `try_table`, of which each clause has a tag, or none for all, and a label outside.
    fn table(
        &mut self,
        body: &[Step],
        mut clauses: impl Iterator<Item = (Option<u32>, u32)>,
    ) -> Flow {
        let exception = match self.inside(None, body) {
            Err(exception) => exception,
            Ok(flow) => return flow,
        };
        match clauses.find(|(tag, _)| tag.is_none_or(|tag| tag == exception.tag)) {
            Some((_, label)) => {
                self.caught += 1;
                Flow::Branch(label)
            }
            None => Flow::Thrown(exception),
        }
    }
}
