//! Switches: parts that a compilation can do without, one table for all kinds.
//!
//! | kind | set | one is |
//! |---|---|---|
//! | [`Pass`] | [`Passes`] | a pass that makes code faster |
//! | [`Proof`] | [`Proofs`] | a kind of proof that makes bounds checks unnecessary |
//! | [`Proposal`] | [`Proposals`] | a proposal of WebAssembly beyond version 1.0 that is implemented |
//!
//! A new pass, proof or proposal is a line here, and listed wherever names are listed.

use crate::CompileError;
use std::fmt;
use std::marker::PhantomData;

/// A kind of switches.
pub trait Switch: Copy + PartialEq + 'static {
    /// The word for one of them in messages.
    const KIND: &'static str;

    /// All of them.
    const TABLE: &'static [Entry<Self>];
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry<S: 'static> {
    /// The switch.
    pub switch: S,
    /// Its name.
    pub name: &'static str,
    /// Its meaning, in words.
    pub about: &'static str,
    /// The switches that build on it, and are off without it.
    pub base_of: &'static [S],
}

macro_rules! switches {
    ($(
        $(#[$doc:meta])+
        $kind:ident, $word:literal {
            $($switch:ident $name:literal $about:literal $(base_of $($with:ident)+)?;)+
        }
    )+) => {
        $(
            $(#[$doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $kind {
                $(#[doc = concat!("`", $name, "`: ", $about, ".")] $switch,)+
            }

            impl Switch for $kind {
                const KIND: &'static str = $word;
                const TABLE: &'static [Entry<$kind>] = &[$(Entry {
                    switch: $kind::$switch,
                    name: $name,
                    about: $about,
                    base_of: &[$($($kind::$with),+)?],
                }),+];
            }
        )+
    };
}

switches! {
    /// A pass over the code, before, around and after those of the code generator.
    Pass, "pass" {
        Inline "inline" "small functions in the place of calls to them";
        SwitchLowering "switch-lowering" "comparisons in the place of branch tables with few ranges";
        RedundantPhis "redundant-phis" "removal of block parameters that always are the same value";
        WideMul "wide-mul" "one instruction for 128-bit products";
        Bswap "bswap" "one instruction for reversing the bytes of a number";
        BaseRemat "base-remat" "reading BASE where it is needed";
        Reassociate "reassociate" "64-bit addresses, added up in the order in which they change";
        ZextLoad "zext-load" "32-bit numbers that are indices too, loaded with 64 bits";
        Unroll "unroll" "two rounds for loops of one block";
        Lftr "lftr" "comparing induction variables after the step";
        IvWidening "iv-widening" "64-bit induction variables where 32 are extended in each round";
        ZextInReg "zext-in-reg" "moves in the place of masks of 8, 16 and 32 bits";
        TailDup "tail-dup" "returns in the place of jumps to one";
        SourceOrder "source-order" "instructions in the order in which the program has them";
        Relax "relax" "short jumps, kept off the ends of lines" base_of Epilogue ThreadedDispatch;
        Epilogue "epilogue" "putting the stack pointer to its place once";
        ThreadedDispatch "threaded-dispatch" "jumps through a table in the place of jumps to them";
    }

    /// A kind of proof that a bounds check cannot fail, or that another one does its work.
    Proof, "proof" {
        Constants "constants" "constant addresses";
        Ranges "ranges" "ranges of values: masks, shifts, extensions";
        Comparisons "comparisons" "comparisons on the way";
        Induction "induction" "indices that count in loops";
        Dominated "dominated" "checks after checks of the same index or one a constant away";
        Merged "merged" "checks that do the work of those that follow";
        Hoisted "hoisted" "checks of the same index in every round of a loop";
    }

    /// A proposal beyond version 1.0 that is implemented, by the name of its repository.
    Proposal, "proposal" {
        SignExtension "sign-extension-ops" "sign extension";
        SaturatingConversions "nontrapping-float-to-int-conversions"
            "saturating float-to-int conversion";
        MultiValue "multi-value" "multiple values";
        BulkMemory "bulk-memory" "bulk memory operations";
        ReferenceTypes "reference-types" "reference types" base_of FunctionReferences Exceptions LegacyExceptions;
        Simd "simd" "SIMD" base_of RelaxedSimd;
        RelaxedSimd "relaxed-simd" "relaxed SIMD";
        MultiMemory "multi-memory" "multiple memories";
        Memory64 "memory64" "64-bit memories and tables";
        Threads "threads" "shared memories and atomics";
        TailCall "tail-call" "tail calls";
        ExtendedConst "extended-const" "extended constants";
        FunctionReferences "function-references" "typed function references";
        Exceptions "exceptions" "exception handling" base_of LegacyExceptions;
        LegacyExceptions "legacy-exceptions" "legacy exception handling";
        CompactImports "compact-import-section" "compact imports";
        WideArithmetic "wide-arithmetic" "wide arithmetic";
    }
}

/// The passes that a compilation makes.
pub type Passes = Switches<Pass>;

/// The proofs that a compilation looks for.
pub type Proofs = Switches<Proof>;

/// The proposals that a compilation accepts.
pub type Proposals = Switches<Proposal>;

/// A set of switches of one kind: those that are on.
///
/// ```
/// use wfaas_compiler::{Passes, Proofs, Proposal, Proposals};
///
/// let proposals = Proposals::ALL.without("reference-types")?;
/// assert!(!proposals.contains(Proposal::FunctionReferences), "it builds on them");
/// assert!(proposals.contains(Proposal::MultiValue));
/// assert_eq!(Passes::ALL.without("all")?, Passes::NONE);
/// assert!(Proofs::ALL.without("luck").unwrap_err().to_string().contains("induction"));
/// # Ok::<(), wfaas_compiler::CompileError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Switches<S> {
    /// A bit for each line of the table.
    on: u32,
    kind: PhantomData<S>,
}

impl<S: Switch> Switches<S> {
    /// All of them.
    pub const ALL: Switches<S> = Switches::of(((1u64 << S::TABLE.len()) - 1) as u32);

    /// None of them.
    pub const NONE: Switches<S> = Switches::of(0);

    /// Turns off all switches, instead of one of them.
    const EACH: &'static str = "all";

    const fn of(on: u32) -> Switches<S> {
        Switches { on, kind: PhantomData }
    }

    /// The names of all there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        S::TABLE.iter().map(|entry| entry.name)
    }

    /// The lines of those that are on.
    pub fn entries(self) -> impl Iterator<Item = &'static Entry<S>> {
        let is_on = move |place: usize| self.on & (1 << place) != 0;
        S::TABLE.iter().enumerate().filter(move |(place, _)| is_on(*place)).map(|(_, entry)| entry)
    }

    /// Whether a switch is on.
    pub fn contains(self, switch: S) -> bool {
        self.entries().any(|entry| entry.switch == switch)
    }

    /// The set without the switch `name` and those that build on it; without any for `all`.
    ///
    /// # Errors
    /// [`CompileError::UnknownSwitch`] with the names that are known.
    pub fn without(self, name: &str) -> Result<Switches<S>, CompileError> {
        if name == Self::EACH {
            return Ok(Self::NONE);
        }
        let entry = S::TABLE.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| CompileError::UnknownSwitch {
            kind: S::KIND,
            name: name.to_owned(),
            known: Self::names().chain([Self::EACH]).collect::<Vec<_>>().join(", "),
        })?;
        Ok(self.without_switch(entry.switch))
    }

    /// The set without the switches of these names; as [`Switches::without`].
    ///
    /// # Errors
    /// [`CompileError::UnknownSwitch`] with the names that are known.
    pub fn without_each<N: AsRef<str>>(
        self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Switches<S>, CompileError> {
        names.into_iter().try_fold(self, |rest, name| rest.without(name.as_ref()))
    }

    fn without_switch(self, switch: S) -> Switches<S> {
        let place = S::TABLE.iter().position(|entry| entry.switch == switch);
        let place = place.expect("all switches are in the table");
        let rest = Switches::of(self.on & !(1 << place));
        S::TABLE[place].base_of.iter().fold(rest, |rest, switch| rest.without_switch(*switch))
    }
}

impl<S: Switch> fmt::Debug for Switches<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries().map(|entry| entry.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_are_of_one_switch_each<S: Switch>() {
        for (place, entry) in S::TABLE.iter().enumerate() {
            let same = |other: &&Entry<S>| other.name == entry.name || other.switch == entry.switch;
            assert_eq!(S::TABLE.iter().filter(same).count(), 1, "{}", entry.name);
            assert_ne!(entry.name, Switches::<S>::EACH);
            let without = Switches::<S>::ALL.without(entry.name).unwrap();
            assert!(!without.contains(entry.switch), "{}", entry.name);
            let off = S::TABLE.len() - without.entries().count();
            assert_eq!(off, 1 + entry.base_of.len(), "{place}: {}", entry.name);
        }
        assert_eq!(Switches::<S>::ALL.entries().count(), S::TABLE.len());
        assert_eq!(Switches::<S>::ALL.without("all").unwrap(), Switches::<S>::NONE);
    }

    #[test]
    fn tables_are_consistent() {
        names_are_of_one_switch_each::<Pass>();
        names_are_of_one_switch_each::<Proof>();
        names_are_of_one_switch_each::<Proposal>();
    }
}
