//! The protocols, one a file.
//!
//! A new one is a file here and a line of `TABLE`; nothing else knows its name or its exports.

pub mod action;
mod actionloop;
pub mod bindgen;
mod bot;
mod cgi;
mod command;
pub mod component;
mod component_command;
mod component_http;
pub mod extism;
pub mod reactor;
mod scgi;

use crate::protocol::Protocol;

/// All protocols, general ones first: a module that speaks several is taken for a guest of the last.
pub(crate) const TABLE: &[&dyn Protocol] = &[
    &action::Action,
    &command::Command,
    &cgi::Cgi,               // to be named
    &scgi::Scgi,             // to be named
    &actionloop::ActionLoop, // to be named
    &bindgen::Bindgen,
    &bot::Bot,
    &extism::Extism,
    &component_command::ComponentCommand,
    &component_http::ComponentHttp,
    &reactor::Reactor, // its instances have less to do
];
