//! Terms of a store's calls: what the embedder has set for them, and what they have used. They can go on in another
//! store, between two calls.

use crate::call::control::Control;
use crate::call::stack::GuestStack;
use crate::call::state::CallState;
use crate::call::watched::Watched;
use std::sync::Arc;
use std::time::Instant;

/// Deadline, time slice, processor time, and who may cancel the calls.
#[derive(Debug)]
pub(crate) struct CallTerms {
    control: Arc<Control>,
    watched: Watched,
}

impl CallTerms {
    /// When the calls end.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.control.deadline()
    }
}

impl CallState {
    /// The terms of the calls so far, for those in another store. The reset of this one makes new ones, since
    /// somebody has these.
    pub(crate) fn terms(&self) -> CallTerms {
        CallTerms { control: self.control.clone(), watched: self.watched.clone() }
    }

    /// Goes on with terms from another store, which has none any more. No call is under way.
    pub(crate) fn set_terms(&mut self, CallTerms { control, watched }: &CallTerms) {
        self.control = control.clone();
        self.watched = watched.clone();
        // The next call looks at all of it anew.
        self.bottom.stack = GuestStack::NONE;
    }
}
