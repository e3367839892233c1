//! Ending calls from other threads.

use crate::call::control::Control;
use crate::call::watchdog;
use std::sync::Arc;

/// Ends calls of a store from other threads; cheap to clone.
#[derive(Debug, Clone)]
pub struct CancelHandle(Arc<Control>);

impl CancelHandle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        CancelHandle(control)
    }

    /// Ends the call under way with [`TrapCode::Cancelled`](crate::TrapCode::Cancelled), or else
    /// the next one.
    pub fn cancel(&self) {
        self.0.cancel();
        watchdog::end_cancelled(&self.0);
    }
}
