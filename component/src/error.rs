//! The reasons for which a component cannot be fused.

use wfaas_abi::component::TooLarge;
use wfaas_abi::untrusted;

/// The reason for which a component cannot be fused. Offsets are in bytes from the start of the component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The component breaks a rule of the component model.
    #[error("invalid component: {} (at offset 0x{offset:x})", untrusted::line(.message))]
    Invalid {
        /// Which rule, in the validator's words.
        message: String,
        /// Where.
        offset: u64,
    },
    /// The component uses a feature that is not implemented.
    #[error("components with {0} are not supported")]
    Unsupported(&'static str),
    /// An import or export that is no function or type.
    #[error("the component's {} {} is not supported: it is a {kind}", .place, untrusted::quoted(.name))]
    UnsupportedItem {
        /// Import or export.
        place: &'static str,
        /// Its name.
        name: String,
        /// Its kind.
        kind: &'static str,
    },
    /// The component's modules or interfaces are beyond a limit.
    #[error("component too large: {what} would be more than {limit}")]
    TooLarge {
        /// The thing that is too large, with its unit.
        what: &'static str,
        /// How large it may be.
        limit: usize,
    },
    /// The bindings are beyond a limit of their format.
    #[error(transparent)]
    Bindings(#[from] TooLarge),
}

impl From<wasmparser::Error> for ComponentError {
    fn from(error: wasmparser::Error) -> Self {
        ComponentError::Invalid { message: error.message().to_owned(), offset: error.offset() }
    }
}

/// A rule that the validator has checked before. It is an error rather than a panic, since the bytes
/// are anybody's.
pub(crate) fn invalid(rule: &'static str) -> ComponentError {
    ComponentError::Invalid { message: rule.to_owned(), offset: 0 }
}

impl From<wasm_encoder::reencode::Error<ComponentError>> for ComponentError {
    fn from(error: wasm_encoder::reencode::Error<ComponentError>) -> Self {
        match error {
            wasm_encoder::reencode::Error::ParseError(error) => error.into(),
            wasm_encoder::reencode::Error::UserError(error) => error,
            other => ComponentError::Invalid { message: other.to_string(), offset: 0 },
        }
    }
}
