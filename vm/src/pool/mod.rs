//! Everything that stores share and lend each other between requests: slots, idle stores, and the
//! account of the memory they keep.

pub(crate) mod idle;
pub(crate) mod lent;
pub(crate) mod slots;
