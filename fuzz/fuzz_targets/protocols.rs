//! Any bytes that a guest gives to its protocol: heads of CGI programs, addresses and lengths, kernel calls of
//! plug-ins, results of actions, messages of bots. An answer, or an error that is the guest's.
#![no_main]

#[path = "../../function/tests/common/hostile.rs"]
mod hostile;

use hostile::Hostile;
use std::sync::LazyLock;

static HOSTILE: LazyLock<Hostile> = LazyLock::new(Hostile::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    HOSTILE.all(bytes);
});
