//! The side that an error is to be blamed on: a server answers 4xx to a module's faults, and 5xx to
//! its own.

use crate::runtime::error::Error;
use crate::sys;
use std::io;
use wfaas_snapshot::Error as SlotError;

/// The side that an error is to be blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The module, or its guest: it fails on every host that is configured alike.
    Module,
    /// Nobody: the host has no memory, slot or descriptor left. It may work later, when others have
    /// given some back.
    Exhausted,
    /// The host: its kernel, or the program that embeds the VM.
    Host,
}

impl Fault {
    /// The side to blame for an answer of the kernel's.
    pub fn of_os(error: &io::Error) -> Fault {
        if sys::is_exhausted(error) { Fault::Exhausted } else { Fault::Host }
    }
}

impl Error {
    /// The side to blame. An error of a host function counts for the guest that called it; embedders
    /// find their own with [`Error::downcast_ref`].
    pub fn fault(&self) -> Fault {
        match self {
            Error::Trap(_)
            | Error::Host(_)
            | Error::Exception(_)
            | Error::Artifact(_)
            | Error::UnknownImport { .. }
            | Error::IncompatibleImport { .. }
            | Error::Export { .. }
            | Error::Capture(_)
            | Error::MemoryLimit { .. }
            | Error::Unsupported(_) => Fault::Module,
            Error::NoSlot { .. } | Error::NoStack { .. } => Fault::Exhausted,
            Error::Slot(error) => of_slot(error),
            Error::Os { source, .. } => Fault::of_os(source),
            Error::TypeMismatch { .. } | Error::Poisoned | Error::NeedsAsync | Error::Leaked => {
                Fault::Host
            }
        }
    }
}

fn of_slot(error: &SlotError) -> Fault {
    match error {
        SlotError::Image(_) | SlotError::WorkingSet(_) | SlotError::TooLarge { .. } => {
            Fault::Module
        }
        SlotError::ImageMemory { .. } => Fault::Exhausted,
        SlotError::Os { source, .. } => Fault::of_os(source),
        SlotError::Open { .. }
        | SlotError::OutOfBounds
        | SlotError::Unaligned
        | SlotError::Userfaultfd(_) => Fault::Host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wfaas_abi::ArtifactError;

    #[test]
    fn a_module_is_to_blame_for_its_own_size_and_not_for_the_others() {
        let blamed = |error: Error| error.fault();
        assert_eq!(blamed(Error::MemoryLimit { what: "a memory", bytes: 1 }), Fault::Module);
        assert_eq!(blamed(ArtifactError::ContentHash.into()), Fault::Module);
        assert_eq!(blamed(Error::NoSlot { max: 1 }), Fault::Exhausted);
        let full = SlotError::ImageMemory { bytes: 1, present: 2, most: 2 };
        assert_eq!(blamed(full.into()), Fault::Exhausted);
        assert_eq!(blamed(Error::Poisoned), Fault::Host);
    }
}
