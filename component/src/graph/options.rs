//! Canonical options of lifted and lowered functions.

use super::cores::CoreScope;
use super::{Def, Source};
use crate::error::ComponentError;
use crate::parse::Kind;
use wasmparser::CanonicalOption;
use wfaas_abi::component::StringEncoding;

/// The options of a lifted or lowered function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) encoding: StringEncoding,
    /// The memory of its values.
    pub(crate) memory: Option<Def>,
    pub(crate) realloc: Option<Def>,
    pub(crate) post_return: Option<Def>,
    /// Whether the function does not wait, but says that it would have to.
    pub(crate) is_async: bool,
    /// The function to call with events.
    pub(crate) callback: Option<Def>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            encoding: StringEncoding::Utf8,
            memory: None,
            realloc: None,
            post_return: None,
            is_async: false,
            callback: None,
        }
    }
}

impl Options {
    /// Reads options. `cores` are the core definitions so far.
    pub(super) fn read(
        options: &[CanonicalOption],
        cores: &CoreScope<'_>,
    ) -> Result<Options, ComponentError> {
        let func = |index: u32| cores.item(Kind::Func, index);
        let mut read = Options::default();
        for option in options {
            match *option {
                CanonicalOption::UTF8 => read.encoding = StringEncoding::Utf8,
                CanonicalOption::UTF16 => read.encoding = StringEncoding::Utf16,
                CanonicalOption::CompactUTF16 => read.encoding = StringEncoding::Latin1OrUtf16,
                CanonicalOption::Memory(index) => {
                    read.memory = Some(cores.item(Kind::Memory, index)?);
                }
                CanonicalOption::Realloc(index) => read.realloc = Some(func(index)?),
                CanonicalOption::PostReturn(index) => read.post_return = Some(func(index)?),
                CanonicalOption::Async => read.is_async = true,
                CanonicalOption::Callback(index) => read.callback = Some(func(index)?),
                CanonicalOption::CoreType(_) | CanonicalOption::Gc => {
                    return Err(ComponentError::Unsupported("garbage-collected values"));
                }
            }
        }
        // A realloc that is itself a host function would allocate in no memory of ours.
        let own =
            |def: &Def| def.kind == Kind::Func && matches!(def.source, Source::Instance { .. });
        let called = read.realloc.iter().chain(&read.post_return).chain(&read.callback);
        match called.copied().all(|def| own(&def)) {
            true => Ok(read),
            false => Err(ComponentError::Unsupported("a host function as their allocator")),
        }
    }
}
