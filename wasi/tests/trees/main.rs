//! Trees of files: the backends that this process keeps do as a directory of the host does.

mod common;
mod model;
mod operation;
mod pieces;
mod units;
