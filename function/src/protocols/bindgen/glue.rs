//! The imports of `wasm-bindgen` modules, as far as there is something to do without JavaScript: an
//! exception is an error. All others are there, and fail when they are called.

use crate::invoke::GuestFault;
use crate::state::State;
use wfaas_vm::ValType::I32;
use wfaas_vm::{BoxError, Caller, ExternType, FuncType, Linker, Module, untrusted};

/// Bytes of an exception's message that are looked at.
const MAX_MESSAGE: u32 = 4 << 10;

/// Whether a module of imports is `wasm-bindgen`'s: of its own, or of the glue code it generates.
fn is_glue(module: &str) -> bool {
    let generated = module.starts_with("./") && module.ends_with("_bg.js");
    module == "wbg" || module.starts_with("__wbindgen_") || generated
}

/// An import by what it does; its name may have a prefix, and a hash behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Import {
    /// Throws an exception with a message.
    Throw,
    /// Prepares a table of JavaScript's values, of which there are none.
    InitTable,
    /// Only JavaScript can do it.
    Script,
}

fn import(name: &str, ty: &FuncType) -> Import {
    let name = name.strip_prefix("__wbg_").unwrap_or(name);
    let is = |word: &str| {
        let rest = name.trim_start_matches('_').strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    match (ty.params(), ty.results()) {
        ([I32, I32], []) if is("wbindgen_throw") => Import::Throw,
        ([], []) if is("wbindgen_init_externref_table") => Import::InitTable,
        _ => Import::Script,
    }
}

/// Defines the functions that a module imports from JavaScript.
pub(in crate::protocols) fn link(linker: &mut Linker<State>, module: &Module) {
    for (glue, name, ty) in module.imports() {
        let ExternType::Func(ty) = ty else { continue };
        if !is_glue(glue) {
            continue;
        }
        match import(name, &ty) {
            Import::Throw => {
                linker.func_wrap(glue, name, throw);
            }
            Import::InitTable => {
                linker.func_wrap(glue, name, |_: Caller<'_, State>| ());
            }
            Import::Script => {
                let name_for_people = untrusted::name(name).to_string();
                linker.func_new(glue, name, ty, move |_, _, _| {
                    let reason = "which only JavaScript has; there is none here";
                    Err(GuestFault(format!("the guest called {name_for_people}, {reason}")).into())
                });
            }
        }
    }
}

/// Whether there is something to do for an import.
pub(in crate::protocols) fn provides(module: &str, name: &str, ty: &FuncType) -> bool {
    is_glue(module) && import(name, ty) != Import::Script
}

/// Ends the guest with its message.
fn throw(mut caller: Caller<'_, State>, ptr: u32, len: u32) -> Result<(), BoxError> {
    let start = ptr as usize;
    let end = start + len.min(MAX_MESSAGE) as usize;
    let memory = caller.memory();
    let message = memory.and_then(|memory| {
        let (bytes, _) = caller.memory_and_data(memory);
        bytes.get(start..end).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    });
    let message = message.unwrap_or_default();
    let message = untrusted::text(message);
    Err(GuestFault(format!("the guest threw an exception: {message}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_known_by_their_names_of_all_versions() {
        let message = FuncType::new([I32, I32], []);
        for name in [
            "__wbindgen_throw",
            "__wbg___wbindgen_throw_be289d5034ed271b",
            "__wbg_wbindgenthrow_451ec1a8469d7eb6",
        ] {
            let known = import(name, &message);
            assert_eq!(known == Import::Throw, !name.contains("wbindgenthrow"), "{name}");
        }
        let nothing = FuncType::new([], []);
        assert_eq!(import("__wbindgen_init_externref_table", &nothing), Import::InitTable);
        assert_eq!(import("__wbindgen_throw", &nothing), Import::Script);
        assert_eq!(import("__wbindgen_throwing", &message), Import::Script);
        for glue in ["wbg", "./bot_bg.js", "__wbindgen_placeholder__"] {
            assert!(is_glue(glue), "{glue}");
        }
        for other in ["env", "./bot.js", "faas", "wasi_snapshot_preview1", "wbgx"] {
            assert!(!is_glue(other), "{other}");
        }
    }
}
