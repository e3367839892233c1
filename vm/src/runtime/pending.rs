//! Reasons for which a hostcall or a host function leaves guest code, or waits.

use crate::runtime::error::Error;
use crate::runtime::thrown::Exception;
use crate::runtime::trap::BoxError;
use std::any::Any;
use std::pin::Pin;
use wfaas_abi::TrapCode;

/// The future of a host function or a hostcall. It leaves the results in the cells of its caller.
pub(crate) type HostFuture = Pin<Box<dyn Future<Output = Result<(), Pending>> + Send>>;

/// A host function that the guest waits for.
pub(crate) struct Waiting {
    pub(super) future: HostFuture,
    /// BASE of the instance that called it.
    pub(super) base: usize,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

/// Reason for leaving guest code, until the error of the call takes it.
pub(crate) enum Pending {
    Trap(TrapCode),
    Host(BoxError),
    Exception(Exception),
    Panic(Box<dyn Any + Send>),
}

impl Pending {
    /// The meaning of a host function's error: it may pass on a guest's exception.
    pub(crate) fn of_host(error: BoxError) -> Pending {
        match error.downcast::<Error>() {
            Ok(error) => match *error {
                Error::Exception(uncaught) => Pending::Exception(uncaught.exception),
                other => Pending::Host(Box::new(other)),
            },
            Err(other) => Pending::Host(other),
        }
    }
}

impl From<Error> for Pending {
    fn from(error: Error) -> Self {
        match error {
            Error::Trap(trap) => Pending::Trap(trap.code),
            Error::Exception(uncaught) => Pending::Exception(uncaught.exception),
            other => Pending::Host(Box::new(other)),
        }
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pending::Trap(code) => write!(f, "Trap({code:?})"),
            Pending::Host(error) => write!(f, "Host({error:?})"),
            Pending::Exception(exception) => exception.fmt(f),
            Pending::Panic(_) => f.write_str("Panic"),
        }
    }
}
