//! What can go wrong with an exchange.

use crate::head::HeadError;
use crate::records::NextRequest;
use wfaas_vm::{BoxError, Fault, Trap, TrapCode, Uncaught};
use wfaas_wasi::preview2::Violation;
use wfaas_wasi::{Exit, OutputLimit};

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
    /// The guest took longer than it may; the message says where it was, if it was in a slot.
    #[error(transparent)]
    Deadline(Trap),
    /// The guest used more processor time than it may; the message says where it was.
    #[error(transparent)]
    CpuLimit(Trap),
    /// The guest exited with this code, not zero, or before it answered.
    #[error("the guest exited with code {0}")]
    Exit(u32),
    /// The guest reads its next request: the end of its part in this one, once it has answered.
    #[error(transparent)]
    NextRequest(#[from] NextRequest),
    /// The guest wrote more than it may.
    #[error(transparent)]
    OutputLimit(OutputLimit),
    /// The guest's answer has a head that cannot be sent.
    #[error("the answer's head: {0}")]
    Head(HeadError),
    /// The request is none for the guest's ABI: the client's doing.
    #[error("{0}")]
    Request(&'static str),
    /// The guest did not keep to its ABI; the error is one of the protocol's.
    #[error(transparent)]
    Protocol(BoxError),
    /// The state for the next request of a session takes too much, or cannot be kept.
    #[error("the state of the session cannot be kept: {0}")]
    State(wfaas_vm::Error),
    /// No instance, or a host function failed.
    #[error(transparent)]
    Vm(wfaas_vm::Error),
}

/// The error of a protocol's host function that ends the guest, which is to blame: the exchange ends
/// with [`InvokeError::Protocol`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GuestFault(pub String);

impl InvokeError {
    /// That a guest did not keep to its ABI.
    pub fn protocol(error: impl Into<BoxError>) -> InvokeError {
        InvokeError::Protocol(error.into())
    }

    /// The error of what the host did for a guest between two of its calls.
    pub(crate) fn between_calls(error: BoxError) -> InvokeError {
        if let Some(exit) = error.downcast_ref::<Exit>() {
            return InvokeError::Exit(exit.code);
        }
        if let Some(limit) = error.downcast_ref::<OutputLimit>() {
            return InvokeError::OutputLimit(*limit);
        }
        if let Some(head) = error.downcast_ref::<HeadError>() {
            return InvokeError::Head(head.clone());
        }
        InvokeError::Protocol(error)
    }

    /// The side to blame.
    pub fn fault(&self) -> Fault {
        match self {
            InvokeError::Vm(error) | InvokeError::State(error) => error.fault(),
            InvokeError::Trap(_)
            | InvokeError::Exception(_)
            | InvokeError::Deadline(_)
            | InvokeError::CpuLimit(_)
            | InvokeError::Exit(_)
            | InvokeError::NextRequest(_)
            | InvokeError::OutputLimit(_)
            | InvokeError::Head(_)
            | InvokeError::Request(_)
            | InvokeError::Protocol(_) => Fault::Module,
        }
    }

    /// The protocol's error, if it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            InvokeError::Protocol(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

impl From<wfaas_vm::Error> for InvokeError {
    fn from(error: wfaas_vm::Error) -> InvokeError {
        if let Some(next) = error.downcast_ref::<NextRequest>() {
            return InvokeError::NextRequest(*next);
        }
        if let Some(exit) = error.downcast_ref::<Exit>() {
            return InvokeError::Exit(exit.code);
        }
        if let Some(limit) = error.downcast_ref::<OutputLimit>() {
            return InvokeError::OutputLimit(*limit);
        }
        if let Some(head) = error.downcast_ref::<HeadError>() {
            return InvokeError::Head(head.clone());
        }
        if let Some(fault) = error.downcast_ref::<GuestFault>() {
            return InvokeError::protocol(fault.clone());
        }
        if let Some(violation) = error.downcast_ref::<Violation>() {
            return InvokeError::protocol(violation.clone());
        }
        match error {
            wfaas_vm::Error::Trap(trap) if trap.code == TrapCode::DeadlineExceeded => {
                InvokeError::Deadline(trap)
            }
            wfaas_vm::Error::Trap(trap) if trap.code == TrapCode::CpuLimitExceeded => {
                InvokeError::CpuLimit(trap)
            }
            wfaas_vm::Error::Trap(trap) => InvokeError::Trap(trap),
            wfaas_vm::Error::Exception(uncaught) => InvokeError::Exception(uncaught),
            error => InvokeError::Vm(error),
        }
    }
}
