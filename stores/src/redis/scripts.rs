//! The scripts: `KEYS` are values, keys and bytes; `ARGV` begins with the limit of the tenant's bytes, the bytes of
//! an entry, and the limit of an outcome's bytes.

use redis::Script;
use std::sync::LazyLock;

/// Ends of scripts that write.
pub(super) const DONE: i64 = 0;
pub(super) const FULL: i64 = 1;
pub(super) const NO_NUMBER: i64 = 2;
/// The value was not as expected.
pub(super) const SEEN_OTHER: i64 = 3;

/// All scripts.
pub(super) struct Scripts {
    /// Keys → their values, or nothing if these are too large.
    pub(super) get: Script,
    /// Key → whether there is one.
    pub(super) exists: Script,
    /// Keys and values → end.
    pub(super) set: Script,
    /// Keys → end.
    pub(super) delete: Script,
    /// Begin of a range, and a number → so many keys.
    pub(super) list: Script,
    /// Key and number → end, and the new number.
    pub(super) increment: Script,
    /// Whether a value is expected, that value, key and new value → end.
    pub(super) swap: Script,
}

impl Scripts {
    pub(super) fn get() -> &'static Scripts {
        static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| {
            let script = |text: &str| Script::new(&format!("{COMMON}{text}"));
            Scripts {
                get: script(include_str!("get.lua")),
                exists: script(include_str!("exists.lua")),
                set: script(include_str!("set.lua")),
                delete: script(include_str!("delete.lua")),
                list: script(include_str!("list.lua")),
                increment: script(include_str!("increment.lua")),
                swap: script(include_str!("swap.lua")),
            }
        });
        &SCRIPTS
    }
}

const COMMON: &str = include_str!("common.lua");
