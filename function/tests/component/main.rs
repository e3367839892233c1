//! Components: fused modules by hand, and whole components, take part in exchanges.

mod command;
mod fused;
mod handler;
mod parked;
mod service;
mod wild;
