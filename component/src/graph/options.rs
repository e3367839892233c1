//! Canonical options of lifted and lowered functions.

use super::{Def, Source};
use crate::error::{ComponentError, invalid};
use crate::parse::Kind;
use wasmparser::CanonicalOption;
use wfaas_abi::component::StringEncoding;

/// The options of a lifted or lowered function. The memory is the one there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) encoding: StringEncoding,
    pub(crate) realloc: Option<Def>,
    pub(crate) post_return: Option<Def>,
}

impl Options {
    /// Reads options. `core_funcs` are the core functions so far.
    pub(super) fn read(
        options: &[CanonicalOption],
        core_funcs: &[Def],
    ) -> Result<Options, ComponentError> {
        let func = |index: u32| {
            let def = core_funcs.get(index as usize).copied();
            def.ok_or(invalid("an option refers to a function that is not there"))
        };
        let mut read = Options { encoding: StringEncoding::Utf8, realloc: None, post_return: None };
        for option in options {
            match *option {
                CanonicalOption::UTF8 => read.encoding = StringEncoding::Utf8,
                CanonicalOption::UTF16 => read.encoding = StringEncoding::Utf16,
                CanonicalOption::CompactUTF16 => read.encoding = StringEncoding::Latin1OrUtf16,
                // There is one memory, or the component is refused.
                CanonicalOption::Memory(_) => {}
                CanonicalOption::Realloc(index) => read.realloc = Some(func(index)?),
                CanonicalOption::PostReturn(index) => read.post_return = Some(func(index)?),
                CanonicalOption::Async | CanonicalOption::Callback(_) => {
                    return Err(ComponentError::Unsupported("async functions (WASI 0.3)"));
                }
                CanonicalOption::CoreType(_) | CanonicalOption::Gc => {
                    return Err(ComponentError::Unsupported("garbage-collected values"));
                }
            }
        }
        // A realloc that is itself a host function would allocate in no memory of ours.
        let own =
            |def: &Def| def.kind == Kind::Func && matches!(def.source, Source::Instance { .. });
        match read.realloc.iter().chain(&read.post_return).all(own) {
            true => Ok(read),
            false => Err(ComponentError::Unsupported("a host function as their allocator")),
        }
    }
}
