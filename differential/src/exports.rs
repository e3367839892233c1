//! Exports of a module, and the calls that a seed makes of them.

use crate::guest::Value;
use crate::random::Random;
use wasmparser::{
    ExternalKind, Parser, Payload, ValType, Validator, WasmFeatures, types::EntityType,
};

/// Names of what a module exports, by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exports {
    /// With the types of the parameters.
    pub(crate) functions: Vec<(String, Vec<ValType>)>,
    pub(crate) tables: Vec<String>,
    pub(crate) memories: Vec<String>,
    pub(crate) globals: Vec<String>,
}

/// A call of an export.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) arguments: Vec<Value>,
}

/// How often each function is called.
const ROUNDS: usize = 3;

impl Exports {
    /// Those of a binary module.
    ///
    /// # Errors
    /// If it is not valid.
    pub(crate) fn of(wasm: &[u8]) -> Result<Exports, wasmparser::Error> {
        let types = Validator::new_with_features(WasmFeatures::all()).validate_all(wasm)?;
        let types = types.as_ref();
        let mut exports = Exports::default();
        for payload in Parser::new(0).parse_all(wasm) {
            let Payload::ExportSection(section) = payload? else { continue };
            for export in section {
                let export = export?;
                let name = export.name.to_owned();
                match (export.kind, types.entity_type_from_export(&export)) {
                    (_, Some(EntityType::Func(id) | EntityType::FuncExact(id))) => {
                        let params = types[id].unwrap_func().params().to_vec();
                        exports.functions.push((name, params));
                    }
                    (ExternalKind::Table, _) => exports.tables.push(name),
                    (ExternalKind::Memory, _) => exports.memories.push(name),
                    (ExternalKind::Global, _) => exports.globals.push(name),
                    (ExternalKind::Tag, _) => {}
                    (kind, ty) => unreachable!("a valid {kind:?} of type {ty:?}"),
                }
            }
        }
        Ok(exports)
    }

    /// The calls of a seed. Functions with parameters that must not be null are left out.
    pub(crate) fn calls(&self, seed: u64) -> Vec<Call> {
        let mut random = Random::new(seed.rotate_left(32));
        let mut calls = Vec::new();
        for _ in 0..ROUNDS {
            for (function, params) in &self.functions {
                let arguments = params.iter().map(|ty| argument(*ty, &mut random));
                if let Some(arguments) = arguments.collect() {
                    calls.push(Call { function: function.clone(), arguments });
                }
            }
        }
        calls
    }
}

/// An argument: small numbers, the borders of types, or anything.
fn argument(ty: ValType, random: &mut Random) -> Option<Value> {
    let bits = match random.below(4) {
        0 => random.next() % 70_000,
        1 => [0, 1, u64::MAX, 1 << 31, 1 << 63, i64::MAX as u64, (1 << 31) - 1][random.below(7)],
        _ => random.next(),
    };
    // Numbers such as 0.5 and 1e10 rather than only tiny ones.
    let float = bits as i64 as f64 / 16.0;
    let as_float = random.coin();
    Some(match ty {
        ValType::I32 => Value::I32(bits as u32),
        ValType::I64 => Value::I64(bits),
        ValType::F32 if as_float => Value::F32((float as f32).to_bits()),
        ValType::F64 if as_float => Value::F64(float.to_bits()),
        ValType::F32 => Value::F32(bits as u32),
        ValType::F64 => Value::F64(bits),
        ValType::V128 => Value::V128(u128::from(bits) << 64 | u128::from(random.next())),
        ValType::Ref(ty) if ty.is_nullable() => Value::Reference { null: true },
        ValType::Ref(_) => return None,
    })
}
