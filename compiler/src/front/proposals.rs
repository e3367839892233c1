//! Proposals: features that the validator has to accept, and the names of the others.

use crate::CompileError;
use crate::switches::{Entry, Proposal, Proposals, Switch};
use wasmparser::WasmFeatures;

impl Proposal {
    /// The validator's flags for it.
    fn features(self) -> WasmFeatures {
        match self {
            Proposal::SignExtension => WasmFeatures::SIGN_EXTENSION,
            Proposal::SaturatingConversions => WasmFeatures::SATURATING_FLOAT_TO_INT,
            Proposal::MultiValue => WasmFeatures::MULTI_VALUE,
            Proposal::BulkMemory => WasmFeatures::BULK_MEMORY,
            Proposal::ReferenceTypes => WasmFeatures::REFERENCE_TYPES,
            Proposal::Simd => WasmFeatures::SIMD,
            Proposal::RelaxedSimd => WasmFeatures::RELAXED_SIMD,
            Proposal::MultiMemory => WasmFeatures::MULTI_MEMORY,
            Proposal::Memory64 => WasmFeatures::MEMORY64,
            Proposal::Threads => WasmFeatures::THREADS,
            Proposal::TailCall => WasmFeatures::TAIL_CALL,
            Proposal::ExtendedConst => WasmFeatures::EXTENDED_CONST,
            // Recursive types came with garbage collection, but functions can be typed by them too.
            Proposal::FunctionReferences => {
                WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::GC)
            }
            Proposal::Exceptions => WasmFeatures::EXCEPTIONS,
            Proposal::LegacyExceptions => WasmFeatures::LEGACY_EXCEPTIONS,
            Proposal::CompactImports => WasmFeatures::COMPACT_IMPORTS,
            Proposal::WideArithmetic => WasmFeatures::WIDE_ARITHMETIC,
        }
    }
}

/// The features of version 1.0 and of these proposals.
pub(crate) fn features(proposals: Proposals) -> WasmFeatures {
    let features = proposals.entries().map(|entry| entry.switch.features());
    features.fold(WasmFeatures::WASM1, WasmFeatures::union)
}

/// Names of proposals that are not implemented, in the order in which they are looked up: where the
/// validator names several of them, the first of this list is reported.
const REFUSED: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "the shared-everything-threads proposal"),
    (WasmFeatures::COMPONENT_MODEL, "the component model"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "the custom-descriptors proposal"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "the custom-page-sizes proposal"),
    (WasmFeatures::MEMORY_CONTROL, "the memory-control proposal"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::ACQUIRE_RELEASE_ATOMICS, "the acquire-release-atomics proposal"),
    (WasmFeatures::MULTIBYTE_ARRAY_ACCESS, "the multibyte-array-access proposal"),
];

/// The name of the proposal that this compiler refuses itself.
pub(crate) const GC: &str = "garbage collection";

/// Proposals that the validator misses without naming them, by its message.
const BY_MESSAGE: &[(&str, Proposal)] = &[
    ("multiple memories", Proposal::MultiMemory),
    ("multiple tables", Proposal::ReferenceTypes),
    ("gc proposal must be enabled", Proposal::FunctionReferences),
];

impl From<wasmparser::Error> for CompileError {
    fn from(error: wasmparser::Error) -> Self {
        let offset = error.offset();
        let missing = error.missing_wasm_feature().unwrap_or(WasmFeatures::empty());
        let refused = REFUSED.iter().find(|(features, _)| missing.intersects(*features));
        let by_message = BY_MESSAGE.iter().find(|(start, _)| error.message().starts_with(start));
        let is_missing = |known: &&Entry<Proposal>| {
            missing.intersects(known.switch.features())
                || by_message.is_some_and(|(_, proposal)| *proposal == known.switch)
        };
        // A proposal that is implemented and missing all the same was disabled.
        match (refused, Proposal::TABLE.iter().find(is_missing)) {
            (Some((_, proposal)), _) => CompileError::Unsupported { proposal, offset },
            (None, Some(Entry { name, about: title, .. })) => {
                CompileError::Disabled { name, title, offset }
            }
            (None, None) => CompileError::Invalid { message: error.message().to_owned(), offset },
        }
    }
}
