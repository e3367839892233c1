//! Affine forms: a constant plus atoms times factors.

use cranelift_codegen::ir::Value;
use smallvec::{SmallVec, smallvec};

/// A constant plus atoms times factors, in integers without limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Affine {
    pub(crate) constant: i64,
    pub(crate) atoms: SmallVec<[(Atom, i64); super::MOST_ATOMS]>,
}

/// A variable of affine forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    /// An induction variable, by the parameter of its loop's header.
    Induction(Value),
    /// Any other value, zero-extended: LLVM's `SCEVUnknown`.
    Unknown(Value),
}

impl Atom {
    pub(crate) fn value(self) -> Value {
        match self {
            Atom::Induction(value) | Atom::Unknown(value) => value,
        }
    }
}

impl Affine {
    pub(crate) fn constant(constant: i64) -> Affine {
        Affine { constant, atoms: SmallVec::new() }
    }

    pub(super) fn atom(atom: Atom) -> Affine {
        Affine { constant: 0, atoms: smallvec![(atom, 1)] }
    }

    /// The sum with `factor` times another form.
    pub(super) fn plus(mut self, other: &Affine, factor: i64) -> Affine {
        let scaled = |number: i64| number.saturating_mul(factor);
        self.constant = self.constant.saturating_add(scaled(other.constant));
        for (atom, times) in &other.atoms {
            match self.atoms.iter_mut().find(|(known, _)| known == atom) {
                Some((_, sum)) => *sum = sum.saturating_add(scaled(*times)),
                None => self.atoms.push((*atom, scaled(*times))),
            }
        }
        self.atoms.retain(|(_, factor)| *factor != 0);
        self
    }
}
