//! Which proofs are looked for.

use crate::CompileError;

macro_rules! passes {
    ($($(#[doc = $doc:literal])+ $pass:ident = $bit:literal;)*) => {
        /// The names of the passes and their bits.
        const PASSES: &[(&str, u32)] = &[$((stringify!($pass), $bit),)*];

        impl Proofs {
            $($(#[doc = $doc])+ pub(super) fn $pass(self) -> bool { self.0 & $bit != 0 })*
        }
    };
}

passes! {
    /// Addresses that are constant.
    constants = 1;
    /// Ranges of values: masks, shifts, extensions.
    ranges = 2;
    /// Comparisons on the way.
    comparisons = 4;
    /// Indices that count in loops.
    induction = 8;
    /// Checks after checks of the same index.
    dominated = 16;
    /// Checks that do the work of those that follow.
    merged = 32;
    /// Checks of the same index in every round of a loop.
    hoisted = 64;
}

/// A set of proofs that may make bounds checks unnecessary.
///
/// ```
/// use wfaas_compiler::Proofs;
///
/// let without = Proofs::ALL.without("merged")?;
/// assert_ne!(without, Proofs::ALL);
/// assert!(Proofs::ALL.without("luck").unwrap_err().to_string().contains("induction"));
/// # Ok::<(), wfaas_compiler::CompileError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proofs(u32);

impl Proofs {
    /// All there are.
    pub const ALL: Proofs = Proofs((1 << PASSES.len()) - 1);

    /// None: each check stays.
    pub const NONE: Proofs = Proofs(0);

    /// The names of all there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PASSES.iter().map(|(name, _)| *name)
    }

    /// The set without the pass `name`; without any for `all`.
    ///
    /// # Errors
    /// [`CompileError::UnknownProof`] with the names that are known.
    pub fn without(self, name: &str) -> Result<Proofs, CompileError> {
        if name == "all" {
            return Ok(Proofs::NONE);
        }
        let known = || Proofs::names().chain(["all"]).collect::<Vec<_>>().join(", ");
        let pass = PASSES.iter().find(|(known, _)| *known == name);
        let (_, bit) = pass
            .ok_or_else(|| CompileError::UnknownProof { name: name.to_owned(), known: known() })?;
        Ok(Proofs(self.0 & !bit))
    }
}
