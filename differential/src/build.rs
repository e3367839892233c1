//! How the module of a seed is compiled: with which bounds strategy, which proofs, which passes.

use crate::generate::Choice;
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::{Effort, Options, Passes, Proofs};

/// A way to compile a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    bounds: BoundsStrategy,
    elide: Proofs,
    verify: bool,
    /// The proof that is left out, if it is one.
    without: &'static str,
    passes: Passes,
    /// The pass that is left out, if it is one.
    without_pass: &'static str,
    /// How code is generated, if not as fits each function.
    effort: Option<Effort>,
}

impl Build {
    /// The way of a seed, as far as nothing was chosen. Each comes with all proofs, with all of them
    /// verified as the code runs, without any, and without one of them; and each of these with all
    /// passes, without any, and without one of them. One seed of two has code generated in a way that
    /// only hostile functions would get otherwise.
    pub(crate) fn of(seed: u64, choice: &Choice) -> Build {
        let (rest, bounds) = pick(seed, &choice.strategies);
        // Most efforts have no passes.
        let (passes, without_pass, effort) = match choice.without_pass {
            Some(name) => (without_pass(name), name, None),
            None => {
                let (passes, without_pass) = passes(seed);
                (passes, without_pass, effort(seed))
            }
        };
        let seed = rest;
        let (elide, without) = (Proofs::ALL, "");
        let all = Build { bounds, elide, verify: false, without, passes, without_pass, effort };
        let without = |name: &'static str| Build {
            elide: Proofs::ALL.without(name).expect("a proof's name"),
            without: name,
            ..all
        };
        let names: Vec<_> = Proofs::names().collect();
        match pick(seed, &[0, 1, 2, 3]) {
            (_, 0) => all,
            (_, 1) => Build { verify: true, ..all },
            (_, 2) => without("all"),
            (seed, _) => without(pick(seed, &names).1),
        }
    }

    /// What the compiler is told.
    pub(crate) fn options(self) -> Options<'static> {
        let Build { bounds, elide, verify, passes, effort, .. } = self;
        Options { bounds, elide, verify_bounds: verify, passes, effort, ..Options::default() }
    }

    /// Whether accesses outside of a memory trap.
    pub(crate) fn traps(self) -> bool {
        !matches!(self.bounds, BoundsStrategy::Clamp | BoundsStrategy::None)
    }

    /// Whether they change nothing but what an image holds.
    pub(crate) fn is_contained(self) -> bool {
        self.bounds.is_safe()
    }
}

impl std::fmt::Display for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--bounds {}", self.bounds.name())?;
        if self.verify {
            write!(f, " --verify-bounds")?;
        }
        if !self.without.is_empty() {
            write!(f, " --no-elide {}", self.without)?;
        }
        if !self.without_pass.is_empty() {
            write!(f, ", without the passes: {}", self.without_pass)?;
        }
        if let Some(effort) = self.effort {
            write!(f, ", with the effort: {effort:?}")?;
        }
        Ok(())
    }
}

/// The effort of a seed: the one that fits, or any. The choice is independent of the others.
fn effort(seed: u64) -> Option<Effort> {
    let (seed, fits) = pick(seed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32, &[true, false]);
    (!fits).then(|| pick(seed, &Effort::ALL).1)
}

/// The passes of a seed, and what is left out. The choice is independent of that of the proofs.
fn passes(seed: u64) -> (Passes, &'static str) {
    let names: Vec<_> = Passes::names().collect();
    let (seed, which) = pick(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32, &[0, 1, 2]);
    match which {
        0 => (Passes::ALL, ""),
        1 => (Passes::NONE, "all"),
        _ => {
            let name = pick(seed, &names).1;
            (without_pass(name), name)
        }
    }
}

/// All passes but one, or all of them for "".
fn without_pass(name: &str) -> Passes {
    if name.is_empty() {
        return Passes::ALL;
    }
    Passes::ALL.without(name).expect("a pass's name")
}

/// One of some, and what of the seed is left.
fn pick<T: Copy>(seed: u64, of: &[T]) -> (u64, T) {
    (seed / of.len() as u64, of[(seed % of.len() as u64) as usize])
}
