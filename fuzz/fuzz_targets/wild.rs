//! Any calls of a component's interfaces: wild pointers, lengths and handles. The next request is answered as usual.
#![no_main]
#![allow(dead_code)] // tests use more of these files

#[path = "../../function/tests/component/fused.rs"]
mod fused;
#[path = "../../function/tests/component/handler.rs"]
mod handler;
#[path = "../../function/tests/component/service.rs"]
mod service;
#[path = "../../function/tests/component/wild.rs"]
mod wild;

use std::sync::LazyLock;
use wild::Wild;

static WILD: LazyLock<Wild> = LazyLock::new(Wild::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| WILD.run(bytes));
