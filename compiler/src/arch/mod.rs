//! Processors: everything that has to be written anew for another one.

pub(crate) mod x86_64;
