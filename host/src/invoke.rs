//! A request and what can go wrong with it.

use crate::stdio::OutputLimit;
use crate::wasi::Exit;
use std::time::Instant;
use wfaas_abi::TrapCode;
use wfaas_vm::{Trap, Uncaught};

/// A request to a function.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The body.
    pub body: Vec<u8>,
    /// When the answer must be there; `None` for the function's time limit from now on.
    pub deadline: Option<Instant>,
    /// What the guest is told besides the body.
    pub info: Option<RequestInfo>,
}

impl Request {
    /// A request that is nothing but a body.
    pub fn with_body(body: impl Into<Vec<u8>>) -> Request {
        Request { body: body.into(), ..Request::default() }
    }
}

/// A request's metadata. A guest reads it from environment variables: `REQUEST_METHOD`,
/// `PATH_INFO`, `QUERY_STRING` and `REQUEST_ID`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// HTTP method, such as `POST`.
    pub method: String,
    /// Path as the client sent it, still percent-encoded, below the function's route.
    pub path: String,
    /// What follows the `?`, still percent-encoded; empty if there is none.
    pub query: String,
    /// The request's id, also in the answer's `x-request-id` and in the log.
    pub id: String,
}

impl RequestInfo {
    /// The variables: name and value.
    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("REQUEST_METHOD", &self.method),
            ("PATH_INFO", &self.path),
            ("QUERY_STRING", &self.query),
            ("REQUEST_ID", &self.id),
        ]
    }
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The guest trapped; the message has its backtrace.
    #[error(transparent)]
    Trap(Trap),
    /// The guest threw an exception and did not catch it; the message says where it was.
    #[error(transparent)]
    Exception(Uncaught),
    /// The guest took longer than it may; the message says where it was.
    #[error(transparent)]
    Deadline(Trap),
    /// The guest exited with this code, not zero, or before it answered.
    #[error("the guest exited with code {0}")]
    Exit(u32),
    /// The guest wrote more than it may.
    #[error(transparent)]
    OutputLimit(OutputLimit),
    /// A reactor's `faas_alloc` had no memory for the body.
    #[error("`faas_alloc` has no room for a body of {bytes} bytes (it answered {ptr:#x})")]
    Alloc {
        /// Bytes asked for.
        bytes: usize,
        /// What it answered.
        ptr: u32,
    },
    /// A reactor's answer is not inside its memory.
    #[error("`faas_handle` answered {len} bytes at {ptr:#x}, which is outside of its memory")]
    BadAnswer {
        /// Address of the answer.
        ptr: u32,
        /// Bytes of the answer.
        len: u32,
    },
    /// No instance, or a host function failed.
    #[error(transparent)]
    Vm(wfaas_vm::Error),
}

impl From<wfaas_vm::Error> for InvokeError {
    fn from(error: wfaas_vm::Error) -> InvokeError {
        if let Some(exit) = error.downcast_ref::<Exit>() {
            return InvokeError::Exit(exit.code);
        }
        if let Some(limit) = error.downcast_ref::<OutputLimit>() {
            return InvokeError::OutputLimit(*limit);
        }
        match error {
            wfaas_vm::Error::Trap(trap) if trap.code == TrapCode::DeadlineExceeded => {
                InvokeError::Deadline(trap)
            }
            wfaas_vm::Error::Trap(trap) => InvokeError::Trap(trap),
            wfaas_vm::Error::Exception(uncaught) => InvokeError::Exception(uncaught),
            error => InvokeError::Vm(error),
        }
    }
}

/// Calls a command's `_start`. An exit with code 0 is success.
pub(crate) fn ignore_success(outcome: Result<(), wfaas_vm::Error>) -> Result<(), InvokeError> {
    match outcome.map_err(InvokeError::from) {
        Err(InvokeError::Exit(0)) => Ok(()),
        outcome => outcome,
    }
}
