//! Files as guests see them: every function of preview1 on directories of the host.

#[path = "../common/mod.rs"]
mod common;

mod contents;
mod descriptors;
mod escapes;
mod guest;
mod hostile;
mod listing;
mod names;
mod opening;
mod pool;
mod random;
mod sockets;
mod unstable;
