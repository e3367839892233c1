//! Which WebAssembly proposals are accepted, and the names of the others.

use crate::CompileError;
use wasmparser::WasmFeatures;

/// What the compiler accepts: version 1.0 and the proposals finished with it in version 2.0,
/// except SIMD; of version 3.0 several memories, and memories and tables with 64-bit indices; and
/// threads.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM1
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MEMORY64)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::THREADS);

/// The names of what is refused, in the order in which they are looked up: where the validator
/// names several proposals, the first of this list is reported.
const REFUSED: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::RELAXED_SIMD, "relaxed SIMD"),
    (WasmFeatures::SIMD, "SIMD"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "the shared-everything-threads proposal"),
    (WasmFeatures::TAIL_CALL, "the tail-call proposal"),
    (WasmFeatures::EXCEPTIONS, "exception handling"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy exception handling"),
    (WasmFeatures::EXTENDED_CONST, "the extended-const proposal"),
    (WasmFeatures::COMPONENT_MODEL, "the component model"),
    (WasmFeatures::FUNCTION_REFERENCES, "the function-references proposal"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "the custom-descriptors proposal"),
    (WasmFeatures::GC, "garbage collection"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "the custom-page-sizes proposal"),
    (WasmFeatures::MEMORY_CONTROL, "the memory-control proposal"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::COMPACT_IMPORTS, "the compact-imports proposal"),
    (WasmFeatures::ACQUIRE_RELEASE_ATOMICS, "the acquire-release-atomics proposal"),
    (WasmFeatures::MULTIBYTE_ARRAY_ACCESS, "the multibyte-array-access proposal"),
];

impl From<wasmparser::Error> for CompileError {
    fn from(error: wasmparser::Error) -> Self {
        let offset = error.offset();
        let missing = error.missing_wasm_feature().unwrap_or(WasmFeatures::empty());
        match REFUSED.iter().find(|(features, _)| missing.intersects(*features)) {
            Some((_, proposal)) => CompileError::Unsupported { proposal, offset },
            None => CompileError::Invalid { message: error.message().to_owned(), offset },
        }
    }
}
