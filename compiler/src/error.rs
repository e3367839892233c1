//! Why a module could not be compiled.

use wfaas_abi::state::StateTooLarge;
use wfaas_abi::untrusted;

/// Why a module could not be compiled. Offsets are in bytes from the start of the binary module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The input is neither a binary module nor valid text.
    #[error("not a WebAssembly module: no binary header, and as text it does not parse: {}", untrusted::text(.0))]
    Text(String),
    /// The module breaks a rule of the specification.
    #[error("invalid module: {} (at offset 0x{offset:x})", untrusted::line(.message))]
    Invalid {
        /// Which rule, in the validator's words.
        message: String,
        /// Where.
        offset: u64,
    },
    /// The module uses a proposal that is not implemented.
    #[error("{proposal} is not supported yet (at offset 0x{offset:x})")]
    Unsupported {
        /// The proposal's name.
        proposal: &'static str,
        /// Where.
        offset: u64,
    },
    /// The module uses a proposal that was disabled.
    #[error("the module uses {title} (at offset 0x{offset:x}), but the proposal is disabled")]
    Disabled {
        /// The proposal's name.
        name: &'static str,
        /// The proposal's name in words.
        title: &'static str,
        /// Where.
        offset: u64,
    },
    /// A name of a switch that is not known.
    #[error("unknown {kind} '{name}'; known are {known}")]
    UnknownSwitch {
        /// The kind of switch: pass, proof or proposal.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that are known.
        known: String,
    },
    /// The module is larger than this compiler takes.
    #[error("module too large: {what} is {actual}, the limit is {limit}")]
    TooLarge {
        /// The thing that is too large, with its unit.
        what: &'static str,
        /// How large it is.
        actual: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A function would need unreasonable memory to compile.
    #[error(
        "function {function} at offset 0x{offset:x} is too complex: more than {limit} {what}; \
         split the function"
    )]
    TooComplex {
        /// Index of the function.
        function: u32,
        /// Where its body begins.
        offset: u64,
        /// The things that there are too many of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// A frame of a program that waits cannot be kept.
    #[error("function {function} cannot be continued at offset 0x{offset:x}: {reason}")]
    NotContinuable {
        /// Index of the function.
        function: u32,
        /// Where it is.
        offset: u64,
        /// Why.
        reason: &'static str,
    },
    /// Globals, tables and segments do not fit into a slot.
    #[error(transparent)]
    State(#[from] StateTooLarge),
    /// A CPU name that is not known.
    #[error("unknown CPU or CPU feature '{name}'; known are {known}")]
    UnknownCpu {
        /// The name.
        name: String,
        /// Names that could have been meant.
        known: String,
    },
    /// The CPU cannot run the compiler's code.
    #[error("the CPU features lack {0}, which generated code needs; use x86-64-v2 or newer")]
    CpuTooOld(&'static str),
    /// The code generator failed.
    #[error("cannot generate code for {}: {message}", untrusted::name(.function))]
    Codegen {
        /// Name of the function.
        function: String,
        /// The code generator's message.
        message: String,
    },
    /// A bug in this compiler.
    #[error("internal: {0}")]
    Internal(String),
}
