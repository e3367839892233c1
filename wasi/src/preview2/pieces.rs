//! Calls with long strings: their parameters are lifted in pieces, and others have their turn in between.

use super::host::{Host, Stop};
use super::link::Lowered;
use crate::canonical::{Lift, LongStrings, Value, Violation};
use crate::preview1::{Failure, Guest};
use std::sync::{Arc, Mutex, PoisonError};

/// A call whose parameters are lifted in pieces.
pub(super) struct Pieces {
    lowered: Arc<Lowered>,
    cells: Box<[u64]>,
    state: Mutex<State>,
}

enum State {
    Lifting(LongStrings),
    Lifted(Vec<Value>),
}

impl Pieces {
    /// Of a call with these core arguments.
    pub(super) fn new(lowered: &Arc<Lowered>, cells: &[u64]) -> Arc<Pieces> {
        let state = Mutex::new(State::Lifting(LongStrings::default()));
        Arc::new(Pieces { lowered: lowered.clone(), cells: cells.into(), state })
    }

    /// Goes on with the parameters; calls the function once they are there.
    pub(super) fn call(&self, guest: &mut Guest<'_>, result_at: u32) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Lifting(long) = &mut *state {
            let args = self.lift(guest, long).map_err(|stop| self.lowered.named_failure(stop.0))?;
            *state = State::Lifted(args);
        }
        match &*state {
            State::Lifted(args) => {
                self.lowered.call(&mut Host::new(guest, &self.lowered, result_at), args)
            }
            State::Lifting(_) => Err(Stop::turn().0),
        }
    }

    /// Reads a piece, and then all values if it was the last one.
    fn lift(&self, guest: &mut Guest<'_>, long: &mut LongStrings) -> Result<Vec<Value>, Stop> {
        long.begin();
        match self.attempt(guest, long) {
            Ok(_) => {
                long.give()?;
                Ok(self.attempt(guest, long)?)
            }
            Err(Violation::TooLarge) if long.is_unfinished() => Err(Stop::turn()),
            Err(violation) => Err(violation.into()),
        }
    }

    fn attempt(
        &self,
        guest: &mut Guest<'_>,
        long: &mut LongStrings,
    ) -> Result<Vec<Value>, Violation> {
        let (memory, data) = guest.memory_and_data().map_err(|_| Violation::OutOfBounds)?;
        let Lowered { component, encoding, .. } = &*self.lowered;
        let lift = Lift::new(component, memory, data.wasi().resources(), *encoding);
        lift.with_long(long).params(self.lowered.function(), self.lowered.are_flat, &self.cells)
    }
}
