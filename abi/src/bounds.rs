//! Bounds strategies: the ways in which memory accesses are kept inside the linear memory.

macro_rules! strategies {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)*) => {
        /// The strategy an artifact was compiled with. The first is the default. After "Leaps and
        /// bounds: Analyzing WebAssembly's performance with a focus on bounds checking" (IISWC
        /// 2022).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum BoundsStrategy { $($(#[doc = $doc])+ $variant = $number,)* }

        /// The strategies by number, for the description of the ABI.
        pub(crate) const STRATEGIES: &[crate::description::Item] =
            &[$(crate::description::Item { name: $name, number: $number },)*];

        impl BoundsStrategy {
            /// Every strategy.
            pub const ALL: &'static [BoundsStrategy] = &[$(BoundsStrategy::$variant,)*];

            /// The strategy with this number, if there is one.
            pub const fn from_u32(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(BoundsStrategy::$variant),)*
                    _ => None,
                }
            }

            /// The name on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(BoundsStrategy::$variant => $name,)* }
            }
        }
    };
}

strategies! {
    /// Guard pages; growth opens pages with `mprotect`.
    Guard = 1, "guard";
    /// Guard pages; all of the slot is accessible as far as protection goes, and the handler of
    /// its faults (`userfaultfd`) provides pages up to the memory's size.
    GuardUffd = 2, "guard-uffd";
    /// Each access is compared with the memory's size, and traps beyond it.
    Trap = 3, "trap";
    /// Each access is compared with the memory's size, and goes to the memory's last bytes
    /// instead beyond it.
    Clamp = 4, "clamp";
    /// No check at all, and all of the slot is accessible: for comparisons only.
    None = 5, "none";
}

impl BoundsStrategy {
    /// The strategy of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|strategy| strategy.name() == name)
    }

    /// Whether an access outside of the memory does nothing it must not.
    pub const fn is_safe(self) -> bool {
        !matches!(self, BoundsStrategy::None)
    }

    /// Whether code relies on a fault where the memory ends.
    pub const fn relies_on_guard(self) -> bool {
        matches!(self, BoundsStrategy::Guard | BoundsStrategy::GuardUffd)
    }
}

macro_rules! fates {
    ($(#[doc = $doc:literal] $variant:ident, $name:literal;)*) => {
        /// The fate of the bounds check of a memory access.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum CheckFate { $(#[doc = $doc] $variant,)* }

        /// The fates in the order of the header's counts, for the description of the ABI.
        pub(crate) const FATES: &[crate::description::Item] = &[$(
            crate::description::Item { name: $name, number: CheckFate::$variant as i64 },
        )*];

        impl CheckFate {
            /// Every fate, in order.
            pub const ALL: &'static [CheckFate] = &[$(CheckFate::$variant,)*];

            /// The name in listings.
            pub const fn name(self) -> &'static str {
                match self { $(CheckFate::$variant => $name,)* }
            }

            /// The meaning in a sentence.
            pub const fn meaning(self) -> &'static str {
                let sentence = match self { $(CheckFate::$variant => $doc,)* };
                sentence.trim_ascii_start()
            }
        }
    };
}

fates! {
    /// The guard region does it.
    Guard, "guard";
    /// The strategy has none.
    Unchecked, "unchecked";
    /// The 64-bit index is compared with 4 GiB; the guard region does the rest.
    IndexChecked, "index-checked";
    /// Compared with the memory's size.
    Checked, "checked";
    /// Redirected into the memory.
    Clamped, "clamped";
    /// Elided: the address is a constant below the least size the memory has.
    Constant, "constant";
    /// Elided: masks, shifts and the like keep the index below the least size.
    Range, "range";
    /// Elided: a comparison before it keeps the index below the least size.
    Comparison, "comparison";
    /// Elided: the index counts in a loop, from and to numbers below the least size.
    Induction, "induction";
    /// Elided: a check that is at least as strong comes before it, of the same index or one a constant away.
    Dominated, "dominated";
    /// Elided: a check of the same index shortly before it does its work too.
    Merged, "merged";
    /// Elided: the index is the same in every round of a loop, and is checked before it.
    Hoisted, "hoisted";
}

impl CheckFate {
    /// Whether a proof made the check unnecessary.
    pub const fn is_elided(self) -> bool {
        !matches!(
            self,
            CheckFate::Guard
                | CheckFate::Unchecked
                | CheckFate::IndexChecked
                | CheckFate::Checked
                | CheckFate::Clamped
        )
    }
}

/// Number of fates.
pub const CHECK_FATES: usize = CheckFate::ALL.len();

/// Counts of a module's memory accesses, by the fate of their checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BoundsStats(pub [u64; CHECK_FATES]);

impl BoundsStats {
    /// Counts an access.
    pub fn add(&mut self, fate: CheckFate) {
        self.0[fate as usize] += 1;
    }

    /// Accesses with this fate.
    pub fn count(&self, fate: CheckFate) -> u64 {
        self.0[fate as usize]
    }

    /// Loads, stores and atomic accesses in the module.
    pub fn accesses(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Accesses without a check because of a proof.
    pub fn elided(&self) -> u64 {
        self.iter().filter(|(fate, _)| fate.is_elided()).map(|(_, count)| count).sum()
    }

    /// Each fate with its count.
    pub fn iter(&self) -> impl Iterator<Item = (CheckFate, u64)> {
        CheckFate::ALL.iter().copied().zip(self.0)
    }
}

impl core::ops::AddAssign for BoundsStats {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_find_their_strategy() {
        for strategy in BoundsStrategy::ALL {
            assert_eq!(BoundsStrategy::from_u32(*strategy as u32), Some(*strategy));
            assert_eq!(BoundsStrategy::from_name(strategy.name()), Some(*strategy));
        }
        assert_eq!(BoundsStrategy::from_u32(0), None);
        assert_eq!(BoundsStrategy::from_name("Guard"), None);
    }
}
