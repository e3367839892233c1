//! Arguments and expected results of scripts.

use wast::core::{
    AbstractHeapType, HeapType, NanPattern, V128Const, V128Pattern, WastArgCore, WastRetCore,
};
use wast::{WastArg, WastRet};
use wfaas_vm::{ExternRef, Val};

/// A host object of a script: `(ref.extern N)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HostObject(u32);

/// Makes host objects, the same one for the same number.
#[derive(Debug, Default)]
pub(crate) struct HostObjects(std::collections::HashMap<u32, ExternRef>);

impl HostObjects {
    fn get(&mut self, number: u32) -> ExternRef {
        self.0.entry(number).or_insert_with(|| ExternRef::new(HostObject(number))).clone()
    }
}

/// The value of an argument.
///
/// # Errors
/// A description, if the VM has no such values.
pub(crate) fn argument(arg: &WastArg<'_>, objects: &mut HostObjects) -> Result<Val, String> {
    let WastArg::Core(arg) = arg else { return Err("component value".into()) };
    Ok(match arg {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(vector_bits(value)),
        WastArgCore::RefNull(ty) => null(ty)?,
        WastArgCore::RefExtern(number) => Val::ExternRef(Some(objects.get(*number))),
        other => return Err(format!("argument {other:?}")),
    })
}

/// Types of references that the VM has, as scripts name them.
#[derive(Debug, PartialEq, Eq)]
enum Family {
    Func,
    Extern,
    Exn,
}

/// The family of a heap type; `None` for those of proposals that are not supported.
fn family(ty: &HeapType<'_>) -> Option<Family> {
    match ty {
        // Without garbage collection every type that a module defines is one of functions.
        HeapType::Concrete(_)
        | HeapType::Abstract { ty: AbstractHeapType::Func | AbstractHeapType::NoFunc, .. } => {
            Some(Family::Func)
        }
        HeapType::Abstract {
            ty: AbstractHeapType::Extern | AbstractHeapType::NoExtern, ..
        } => Some(Family::Extern),
        HeapType::Abstract { ty: AbstractHeapType::Exn | AbstractHeapType::NoExn, .. } => {
            Some(Family::Exn)
        }
        _ => None,
    }
}

fn null(ty: &HeapType<'_>) -> Result<Val, String> {
    match family(ty) {
        Some(Family::Func) => Ok(Val::FuncRef(None)),
        Some(Family::Extern) => Ok(Val::ExternRef(None)),
        Some(Family::Exn) => Ok(Val::ExnRef(None)),
        None => Err(format!("null of {ty:?}")),
    }
}

fn vector_bits(value: &V128Const) -> u128 {
    u128::from_le_bytes(value.to_le_bytes())
}

/// Whether results are as expected.
///
/// # Errors
/// What differs.
pub(crate) fn check_results(found: &[Val], expected: &[WastRet<'_>]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("expected {} results, found {found:?}", expected.len()));
    }
    for (found, expected) in found.iter().zip(expected) {
        let WastRet::Core(expected) = expected else { return Err("component value".into()) };
        if !matches(found, expected) {
            return Err(format!("expected {expected:?}, found {found:?}"));
        }
    }
    Ok(())
}

fn matches(found: &Val, expected: &WastRetCore<'_>) -> bool {
    match (found, expected) {
        (Val::I32(found), WastRetCore::I32(expected)) => found == expected,
        (Val::I64(found), WastRetCore::I64(expected)) => found == expected,
        (Val::F32(found), WastRetCore::F32(expected)) => match expected {
            NanPattern::CanonicalNan => *found & 0x7fff_ffff == 0x7fc0_0000,
            NanPattern::ArithmeticNan => *found & 0x7fc0_0000 == 0x7fc0_0000,
            NanPattern::Value(value) => *found == value.bits,
        },
        (Val::F64(found), WastRetCore::F64(expected)) => match expected {
            NanPattern::CanonicalNan => *found & (u64::MAX >> 1) == 0x7ff8_0000_0000_0000,
            NanPattern::ArithmeticNan => *found & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
            NanPattern::Value(value) => *found == value.bits,
        },
        (Val::V128(found), WastRetCore::V128(expected)) => vector_matches(*found, expected),
        (found, WastRetCore::RefNull(None)) => found.is_null(),
        (Val::ExnRef(None), WastRetCore::RefNull(Some(ty))) => family(ty) == Some(Family::Exn),
        (Val::FuncRef(None), WastRetCore::RefNull(Some(ty))) => family(ty) == Some(Family::Func),
        (Val::ExternRef(None), WastRetCore::RefNull(Some(ty))) => {
            family(ty) == Some(Family::Extern)
        }
        (Val::FuncRef(Some(_)), WastRetCore::RefFunc(_)) => true,
        (Val::ExternRef(Some(_)), WastRetCore::RefExtern(None)) => true,
        (Val::ExternRef(Some(found)), WastRetCore::RefExtern(Some(expected))) => {
            found.downcast_ref() == Some(&HostObject(*expected))
        }
        (found, WastRetCore::Either(options)) => {
            options.iter().any(|option| matches(found, option))
        }
        _ => false,
    }
}

fn vector_matches(found: u128, expected: &V128Pattern) -> bool {
    let lane32 = |lane: usize| Val::F32((found >> (32 * lane)) as u32);
    let lane64 = |lane: usize| Val::F64((found >> (64 * lane)) as u64);
    let little_endian = |bytes: Vec<u8>| found.to_le_bytes()[..] == bytes[..];
    match expected {
        V128Pattern::I8x16(lanes) => little_endian(lanes.iter().map(|lane| *lane as u8).collect()),
        V128Pattern::I16x8(lanes) => {
            little_endian(lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect())
        }
        V128Pattern::I32x4(lanes) => {
            little_endian(lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect())
        }
        V128Pattern::I64x2(lanes) => {
            little_endian(lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect())
        }
        V128Pattern::F32x4(lanes) => lanes
            .iter()
            .enumerate()
            .all(|(at, lane)| matches(&lane32(at), &WastRetCore::F32(*lane))),
        V128Pattern::F64x2(lanes) => lanes
            .iter()
            .enumerate()
            .all(|(at, lane)| matches(&lane64(at), &WastRetCore::F64(*lane))),
    }
}
