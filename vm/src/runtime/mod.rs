//! Everything a store owns, and everything that instantiating and running guests does with it.
//!
//! | file | holds |
//! |---|---|
//! | `code`, `bundle`, `images`, `module`, `profile`, `recording`, `lines` | a loaded artifact: text, files, images, working sets, lines of the source |
//! | `slot`, `memory`, `shared`, `table`, `global`, `cell`, `host_func`, `instance`, `thrown` | one object each |
//! | `item`, `types` | names and types of objects |
//! | `objects`, `limits`, `room`, `reset` | all objects of a store, the memory they may have, and their reset |
//! | `store` | the store: its objects and its call |
//! | `instantiate`, `host_context`, `init` | making an instance |
//! | `invoke`, `leave`, `hostcalls` | calling guests, and being called by them |
//! | `async_call`, `wait` | calls that can be suspended, and host functions that wait |
//! | `bulk`, `bulk_rest`, `pieces`, `atomic`, `foreign`, `exceptions`, `exception_list`, `handlers` | operations that hostcalls ask for |
//! | `capture`, `snapshot`, `recorder`, `records` | making an image of an instance, copying the pages that differ from it, recording the frames of a guest that waits |
//! | `error`, `fault`, `trap`, `pending` | outcomes |
//!

pub(crate) mod async_call;
pub(crate) mod atomic;
pub(crate) mod bulk;
pub(crate) mod bulk_rest;
pub(crate) mod bundle;
pub(crate) mod capture;
pub(crate) mod cell;
pub(crate) mod code;
pub(crate) mod error;
pub(crate) mod exception_list;
pub(crate) mod exceptions;
pub(crate) mod fault;
pub(crate) mod foreign;
pub(crate) mod global;
pub(crate) mod handlers;
pub(crate) mod host_context;
pub(crate) mod host_func;
pub(crate) mod hostcalls;
pub(crate) mod images;
pub(crate) mod init;
pub(crate) mod instance;
pub(crate) mod instantiate;
pub(crate) mod invoke;
pub(crate) mod item;
pub(crate) mod leave;
pub(crate) mod limits;
pub(crate) mod lines;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod objects;
pub(crate) mod pending;
pub(crate) mod pieces;
pub(crate) mod profile;
pub(crate) mod recorder;
pub(crate) mod recording;
pub(crate) mod records;
pub(crate) mod reset;
pub(crate) mod room;
pub(crate) mod shared;
pub(crate) mod slot;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod thrown;
mod translations;
pub(crate) mod trap;
pub(crate) mod types;
pub(crate) mod wait;
