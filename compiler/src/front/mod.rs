//! The front end: from the bytes of a module to plain data, [`module`], and the [`layout`] that follows
//! from it.

pub(crate) mod escape;
pub(crate) mod hints;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod module;
pub(crate) mod names;
pub(crate) mod parse;
pub(crate) mod proposals;
