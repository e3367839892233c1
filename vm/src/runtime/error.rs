//! Errors: a guest's trap, a host function's refusal, and everything else, kept apart.

use crate::call::enter::Refused;
use crate::runtime::thrown::{Exception, Uncaught};
use crate::runtime::trap::{Backtrace, HostError, Trap};
use wfaas_abi::untrusted::name as shown;
use wfaas_abi::{ArtifactError, TrapCode};

/// The range lies outside of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of bounds memory access")]
pub struct OutOfBounds;

/// Failure of anything this crate does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Guest code trapped, ran past its deadline or was cancelled.
    #[error(transparent)]
    Trap(#[from] Trap),
    /// A host function called by the guest returned an error.
    #[error(transparent)]
    Host(HostError),
    /// The guest threw an exception that nobody caught.
    #[error(transparent)]
    Exception(Uncaught),
    /// The bytes are no artifact this VM can run.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// An import that nobody defines.
    #[error(
        "unknown import: \"{}\" \"{}\" ({}) has not been defined{}",
        shown(.module), shown(.name), shown(.ty), nor(.others)
    )]
    UnknownImport {
        /// Module name of the import.
        module: String,
        /// Field name of the import.
        name: String,
        /// The type that the module wants.
        ty: String,
        /// Module and field names of further imports that nobody defines.
        others: Box<[(String, String)]>,
    },
    /// An import that is defined as something else.
    #[error(
        "incompatible import type for \"{}\" \"{}\": expected {}, found {}",
        shown(.module), shown(.name), shown(.expected), shown(.found)
    )]
    IncompatibleImport {
        /// Module name of the import.
        module: String,
        /// Field name of the import.
        name: String,
        /// The type that the module wants.
        expected: String,
        /// The type that is defined.
        found: String,
    },
    /// An export that is not there, or is something else.
    #[error("no export \"{}\": {}", shown(.name), shown(.reason))]
    Export {
        /// Name looked for.
        name: String,
        /// Why there is none.
        reason: String,
    },
    /// Arguments or values of the wrong type or number.
    #[error("type mismatch: expected {}, found {}", shown(.expected), shown(.found))]
    TypeMismatch {
        /// The types wanted.
        expected: String,
        /// The types given.
        found: String,
    },
    /// The instance cannot become an image.
    #[error("cannot capture the instance: {0}")]
    Capture(String),
    /// Something is larger than a limit of memory allows.
    #[error("{what} of {bytes} bytes: too much here")]
    MemoryLimit {
        /// The thing.
        what: &'static str,
        /// Its bytes.
        bytes: u64,
    },
    /// Something the VM does not do.
    #[error("{0}")]
    Unsupported(String),
    /// A slot could not be reserved, mapped or restored.
    #[error(transparent)]
    Slot(#[from] wfaas_snapshot::Error),
    /// As many slots are in use as there may be.
    #[error("all {max} slots are in use: end some faaslets, or raise Config::max_slots")]
    NoSlot {
        /// [`Config::max_slots`](crate::Config::max_slots).
        max: usize,
    },
    /// As many calls are suspended as there may be.
    #[error("all {max} stacks of suspended calls are in use: raise Config::max_suspended")]
    NoStack {
        /// [`Config::max_suspended`](crate::Config::max_suspended).
        max: usize,
    },
    /// An async host function was called, or an asynchronous call begun, inside of a call that cannot
    /// be suspended: a synchronous one is under way, perhaps of a synchronous host function.
    #[error("an async function was called inside of a synchronous call, which cannot be suspended")]
    NeedsAsync,
    /// The future of a call was leaked while it was suspended, so the store cannot be used any more.
    #[error("the store has a suspended call that was leaked")]
    Leaked,
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Os {
        /// The operation that was tried.
        what: &'static str,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// Earlier calls left the store in a state it must not be used in.
    #[error("the store was poisoned by an earlier fault in a host function")]
    Poisoned,
}

impl Error {
    /// The error of a host function, if it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Error::Host(error) => error.source.downcast_ref(),
            _ => None,
        }
    }

    /// The trap, if this is one.
    pub fn trap(&self) -> Option<&Trap> {
        match self {
            Error::Trap(trap) => Some(trap),
            _ => None,
        }
    }

    pub(crate) fn os(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Os { what, source }
    }
}

/// Most further imports that a message names.
const MAX_NAMED: usize = 20;

/// That these imports are not defined either, in words.
fn nor(others: &[(String, String)]) -> String {
    let named = others.iter().take(MAX_NAMED);
    let list = named
        .map(|(module, name)| format!("\"{}\" \"{}\"", shown(module), shown(name)))
        .collect::<Vec<_>>()
        .join(", ");
    match others.len().checked_sub(MAX_NAMED) {
        _ if others.is_empty() => String::new(),
        None | Some(0) => format!(", nor have {list}"),
        Some(more) => format!(", nor have {list} and {more} more"),
    }
}

/// A trap outside of any guest function.
pub(super) fn without_frames(code: TrapCode) -> Error {
    Error::Trap(Trap::without_frames(code))
}

impl From<Exception> for Error {
    fn from(exception: Exception) -> Self {
        Error::Exception(Uncaught { exception, backtrace: Backtrace::default() })
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let unsupported = |message: &str| Error::Unsupported(message.into());
        match refused {
            Refused::Poisoned => Error::Poisoned,
            Refused::OtherStack => {
                unsupported("a call from a host function on a stack or thread of its own")
            }
            Refused::ThreadEnds => unsupported("a call of a guest while its thread ends"),
            Refused::Leaked => Error::Leaked,
            Refused::InsideSync => Error::NeedsAsync,
            Refused::TooDeep => without_frames(TrapCode::StackOverflow),
            Refused::Exhausted => without_frames(TrapCode::CpuLimitExceeded),
            Refused::NoStack { max } => Error::NoStack { max },
            Refused::Os(what, source) => Error::Os { what, source },
        }
    }
}
