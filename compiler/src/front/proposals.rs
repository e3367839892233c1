//! Which WebAssembly proposals are accepted, and the names of the others.

use crate::CompileError;
use wasmparser::WasmFeatures;

/// A proposal that is implemented.
struct Proposal {
    /// For `--disable`: the name of the proposal's repository.
    name: &'static str,
    /// For messages.
    title: &'static str,
    features: WasmFeatures,
    /// What has to go with it when it is disabled.
    base_of: &'static [&'static str],
}

const fn proposal(
    name: &'static str,
    title: &'static str,
    features: WasmFeatures,
    base_of: &'static [&'static str],
) -> Proposal {
    Proposal { name, title, features, base_of }
}

/// The proposals beyond version 1.0 that are implemented.
const PROPOSALS: &[Proposal] = &[
    proposal("sign-extension-ops", "sign extension", WasmFeatures::SIGN_EXTENSION, &[]),
    proposal(
        "nontrapping-float-to-int-conversions",
        "saturating float-to-int conversion",
        WasmFeatures::SATURATING_FLOAT_TO_INT,
        &[],
    ),
    proposal("multi-value", "multiple values", WasmFeatures::MULTI_VALUE, &[]),
    proposal("bulk-memory", "bulk memory operations", WasmFeatures::BULK_MEMORY, &[]),
    proposal(
        "reference-types",
        "reference types",
        WasmFeatures::REFERENCE_TYPES,
        &["function-references", "exceptions"],
    ),
    proposal("simd", "SIMD", WasmFeatures::SIMD, &["relaxed-simd"]),
    proposal("relaxed-simd", "relaxed SIMD", WasmFeatures::RELAXED_SIMD, &[]),
    proposal("multi-memory", "multiple memories", WasmFeatures::MULTI_MEMORY, &[]),
    proposal("memory64", "64-bit memories and tables", WasmFeatures::MEMORY64, &[]),
    proposal("threads", "shared memories and atomics", WasmFeatures::THREADS, &[]),
    proposal("tail-call", "tail calls", WasmFeatures::TAIL_CALL, &[]),
    proposal("extended-const", "extended constants", WasmFeatures::EXTENDED_CONST, &[]),
    // Recursive types came with garbage collection, but functions can be typed by them too.
    proposal(
        "function-references",
        "typed function references",
        WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::GC),
        &[],
    ),
    proposal("exceptions", "exception handling", WasmFeatures::EXCEPTIONS, &[]),
];

/// A set of proposals that a compilation accepts.
///
/// ```
/// use wfaas_compiler::Proposals;
///
/// let without = Proposals::ALL.without("reference-types")?;
/// assert!(!without.contains("function-references"), "it builds on them");
/// assert!(without.contains("multi-value"));
/// # Ok::<(), wfaas_compiler::CompileError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposals(u64);

impl Proposals {
    /// All that are implemented.
    pub const ALL: Proposals = Proposals((1 << PROPOSALS.len()) - 1);

    /// The names of all that are implemented.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROPOSALS.iter().map(|proposal| proposal.name)
    }

    /// The set without the proposal `name`, nor those that build on it.
    ///
    /// # Errors
    /// [`CompileError::UnknownProposal`] with the names that are known.
    pub fn without(self, name: &str) -> Result<Proposals, CompileError> {
        let index = PROPOSALS.iter().position(|proposal| proposal.name == name);
        let index = index.ok_or_else(|| CompileError::UnknownProposal {
            name: name.to_owned(),
            known: Proposals::names().collect::<Vec<_>>().join(", "),
        })?;
        let rest = Proposals(self.0 & !(1 << index));
        PROPOSALS[index].base_of.iter().try_fold(rest, |rest, name| rest.without(name))
    }

    /// Whether the proposal `name` is in the set.
    pub fn contains(self, name: &str) -> bool {
        self.enabled().any(|proposal| proposal.name == name)
    }

    fn enabled(self) -> impl Iterator<Item = &'static Proposal> {
        let bit = move |index: usize| self.0 & (1 << index) != 0;
        PROPOSALS.iter().enumerate().filter(move |(index, _)| bit(*index)).map(|(_, known)| known)
    }

    /// What the validator has to accept.
    pub(crate) fn features(self) -> WasmFeatures {
        self.enabled().fold(WasmFeatures::WASM1, |all, proposal| all.union(proposal.features))
    }
}

/// The names of what is not implemented, in the order in which they are looked up: where the
/// validator names several proposals, the first of this list is reported.
const REFUSED: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "the shared-everything-threads proposal"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy exception handling"),
    (WasmFeatures::COMPONENT_MODEL, "the component model"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "the custom-descriptors proposal"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "the custom-page-sizes proposal"),
    (WasmFeatures::MEMORY_CONTROL, "the memory-control proposal"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::COMPACT_IMPORTS, "the compact-imports proposal"),
    (WasmFeatures::ACQUIRE_RELEASE_ATOMICS, "the acquire-release-atomics proposal"),
    (WasmFeatures::MULTIBYTE_ARRAY_ACCESS, "the multibyte-array-access proposal"),
];

/// The name of what this compiler refuses itself.
pub(crate) const GC: &str = "garbage collection";

/// The names of what the validator refuses without naming a proposal, by its message.
const BY_MESSAGE: &[(&str, &str)] = &[
    ("multiple memories", "multi-memory"),
    ("multiple tables", "reference-types"),
    ("gc proposal must be enabled", "function-references"),
];

impl From<wasmparser::Error> for CompileError {
    fn from(error: wasmparser::Error) -> Self {
        let offset = error.offset();
        let missing = error.missing_wasm_feature().unwrap_or(WasmFeatures::empty());
        let refused = REFUSED.iter().find(|(features, _)| missing.intersects(*features));
        let by_message = BY_MESSAGE.iter().find(|(start, _)| error.message().starts_with(start));
        let is_missing = |known: &&Proposal| {
            missing.intersects(known.features)
                || by_message.is_some_and(|(_, name)| *name == known.name)
        };
        // What is implemented and missing all the same was disabled.
        match (refused, PROPOSALS.iter().find(is_missing)) {
            (Some((_, proposal)), _) => CompileError::Unsupported { proposal, offset },
            (None, Some(Proposal { name, title, .. })) => {
                CompileError::Disabled { name, title, offset }
            }
            (None, None) => CompileError::Invalid { message: error.message().to_owned(), offset },
        }
    }
}
