//! Sessions: exchanges that go on from the state after an earlier one.

use crate::exchange::{Body, Exchange};
use crate::function::Function;
use crate::head::LocalRedirect;
use crate::invoke::InvokeError;
use crate::target::FaasletTarget;
use http::Response;
use std::sync::Arc;
use wfaas_vm::Snapshot;
use wfaas_wasi::Restored;

/// The state of a session between two requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// Memories, globals and tables, and the frames of a program that waits.
    pub(crate) snapshot: Snapshot,
    /// Descriptors and clock of a program that waits.
    pub(crate) host: Option<Arc<Restored>>,
}

impl SessionState {
    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        self.snapshot.bytes() + self.host.as_ref().map_or(0, |host| host.bytes())
    }
}

/// A program with sessions has answered with a path to another function's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a program with sessions cannot answer with a local redirect")]
pub struct Redirected;

impl Function {
    /// Answers a request, as [`Function::handle_async`], in a faaslet as `state` has it, or a pristine one;
    /// the answer, and the state after it. A request that fails leaves no state.
    ///
    /// The state is memories, globals and tables, and nothing of the host's, such as open files. A program that was
    /// captured where it waits is run until it waits for its next request: its state has its frames, descriptors and
    /// monotonic clock too. `None` if it has ended instead.
    ///
    /// # Errors
    /// As [`Function::handle`]; [`InvokeError::State`] if the state takes more than `most_bytes` bytes, or
    /// cannot be kept.
    ///
    /// # Panics
    /// If the [specification](crate::Spec::session) has no sessions.
    pub async fn handle_session(
        &self,
        exchange: Box<Exchange>,
        state: Option<&SessionState>,
        most_bytes: usize,
    ) -> Result<(Response<Body>, Option<SessionState>), InvokeError> {
        assert!(self.spec().session.is_some(), "a function without sessions");
        let mut target = self.begin(exchange, state, self.background())?;
        if self.waits_again() {
            target.faaslet().store().record_again();
        }
        // Nothing is left to initialise: that was checked.
        let waits = self.drive_async(&mut target, false).await?;
        let answer = target.take_answer()?;
        if answer.extensions().get::<LocalRedirect>().is_some() {
            return Err(InvokeError::protocol(Redirected));
        }
        if self.waits_again() && !waits {
            return Ok((answer, None));
        }
        Ok((answer, Some(self.state(&mut target, most_bytes)?)))
    }

    /// The state of a guest that has answered.
    fn state(
        &self,
        target: &mut FaasletTarget<'_>,
        most_bytes: usize,
    ) -> Result<SessionState, InvokeError> {
        let kept = self.waits_again().then(|| target.wasi().kept());
        let host = kept
            .transpose()
            .map_err(|error| InvokeError::State(wfaas_vm::Error::Capture(error.to_string())))?;
        let host = host.map(Arc::new);
        let most = most_bytes.saturating_sub(host.as_ref().map_or(0, |host| host.bytes()));
        let faaslet = target.faaslet();
        let instance = faaslet.instance();
        let snapshot = instance.snapshot(faaslet.store(), most).map_err(InvokeError::State)?;
        Ok(SessionState { snapshot, host })
    }
}
