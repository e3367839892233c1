//! The back end: from machine code and plain data to the bytes of an artifact.

pub(crate) mod elf;
pub(crate) mod header;
pub(crate) mod image;
pub(crate) mod link;
pub(crate) mod records;
