//! Linear forms, what they are made of, and ranges.

use cranelift_codegen::ir::Value;

/// Numbers from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) least: i64,
    pub(crate) most: i64,
}

/// All 32-bit numbers.
pub(crate) const UNSIGNED: Range = Range { least: 0, most: u32::MAX as i64 };

impl Range {
    pub(crate) fn within(self, outer: Range) -> bool {
        outer.least <= self.least && self.most <= outer.most
    }

    // What saturates is too far to be of use, so it does not matter where it ends.

    pub(crate) fn plus(self, other: Range) -> Range {
        let least = self.least.saturating_add(other.least);
        Range { least, most: self.most.saturating_add(other.most) }
    }

    pub(crate) fn times(self, factor: i64) -> Range {
        let (one, other) = (self.least.saturating_mul(factor), self.most.saturating_mul(factor));
        Range { least: one.min(other), most: one.max(other) }
    }

    /// What is in both, or all of this one if nothing is.
    pub(crate) fn and(self, other: Range) -> Range {
        let both = Range { least: self.least.max(other.least), most: self.most.min(other.most) };
        if both.least > both.most { self } else { both }
    }

    pub(super) fn or(self, other: Range) -> Range {
        Range { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

/// A constant plus atoms times factors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linear {
    pub(crate) constant: i64,
    pub(crate) atoms: Vec<(Atom, i64)>,
}

/// What a linear form is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    /// A counter, by its parameter.
    Counter(Value),
    /// The zero extension of a number.
    Number(Value),
}

impl Linear {
    pub(crate) fn constant(constant: i64) -> Linear {
        Linear { constant, atoms: Vec::new() }
    }

    pub(super) fn atom(atom: Atom) -> Linear {
        Linear { constant: 0, atoms: vec![(atom, 1)] }
    }

    pub(crate) fn plus(mut self, other: &Linear, factor: i64) -> Linear {
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
