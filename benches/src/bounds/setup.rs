//! Setups: a bounds strategy, and how instances are reset.

use clap::ValueEnum;
use wfaas_abi::BoundsStrategy;
use wfaas_vm::Tracking;

/// What is compared. In the order of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Setup {
    /// No check; all of the slot is accessible from the start.
    None,
    /// Accesses beyond the end are redirected; growth by mprotect.
    Clamp,
    /// Accesses are compared with the size; growth by mprotect.
    Trap,
    /// Guard pages; growth by mprotect.
    Guard,
    /// The same, where resets discard all pages instead of copying back those that were written to.
    GuardDiscard,
    /// Guard pages; growth by userfaultfd.
    GuardUffd,
}

impl Setup {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Setup::GuardDiscard => "guard-discard",
            other => other.strategy().name(),
        }
    }

    /// How accesses are kept inside the memory.
    pub(crate) fn strategy(self) -> BoundsStrategy {
        match self {
            Setup::None => BoundsStrategy::None,
            Setup::Clamp => BoundsStrategy::Clamp,
            Setup::Trap => BoundsStrategy::Trap,
            Setup::Guard | Setup::GuardDiscard => BoundsStrategy::Guard,
            Setup::GuardUffd => BoundsStrategy::GuardUffd,
        }
    }

    /// How slots know what a reset has to restore.
    pub(crate) fn tracking(self) -> Tracking {
        match self {
            Setup::GuardDiscard => Tracking::Discard,
            _ => Tracking::Auto,
        }
    }
}

impl serde::Serialize for Setup {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for setup in Setup::value_variants() {
            let value = setup.to_possible_value().expect("none is hidden");
            assert_eq!(value.get_name(), setup.name());
        }
    }
}
