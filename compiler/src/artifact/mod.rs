//! The back end: from machine code and plain data to the bytes of an artifact. [`link`] makes the text,
//! [`image`] the initial image, [`records`] and [`header`] the rest, and [`elf`] the file around them.

pub(crate) mod elf;
pub(crate) mod header;
pub(crate) mod image;
pub(crate) mod link;
pub(crate) mod records;
