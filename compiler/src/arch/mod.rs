//! Knowledge of one processor family each.

pub(crate) mod x86_64;
