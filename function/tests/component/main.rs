//! Components: fused modules by hand take part in exchanges.

mod command;
mod fused;
mod handler;
