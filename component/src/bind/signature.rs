//! Types of core functions.

use wasm_encoder::ValType;
use wasmparser::FuncType;

/// A core function type, of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Signature {
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
}

impl Signature {
    pub(crate) fn new(params: &[ValType], results: &[ValType]) -> Signature {
        Signature { params: params.to_vec(), results: results.to_vec() }
    }

    /// The parser's form of it; `None` if a value is no number.
    pub(crate) fn of(ty: &FuncType) -> Option<Signature> {
        let params = ty.params().iter().map(number).collect::<Option<_>>()?;
        let results = ty.results().iter().map(number).collect::<Option<_>>()?;
        Some(Signature { params, results })
    }
}

fn number(ty: &wasmparser::ValType) -> Option<ValType> {
    match ty {
        wasmparser::ValType::I32 => Some(ValType::I32),
        wasmparser::ValType::I64 => Some(ValType::I64),
        wasmparser::ValType::F32 => Some(ValType::F32),
        wasmparser::ValType::F64 => Some(ValType::F64),
        _ => None,
    }
}
