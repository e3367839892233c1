//! WebAssembly values of types known at run time.

use crate::api::func::Func;
use crate::runtime::objects::HostObject;
use crate::runtime::thrown::Exception;
use std::any::Any;
use std::sync::Arc;
use wfaas_abi::ValType;

/// A host object that guests can hold and pass around, but not look into.
#[derive(Clone)]
pub struct ExternRef(pub(super) HostObject);

impl ExternRef {
    /// Wraps a host object.
    pub fn new(object: impl Any + Send + Sync) -> Self {
        ExternRef(Arc::new(object))
    }

    /// The host object, if it is a `V`.
    pub fn downcast_ref<V: Any>(&self) -> Option<&V> {
        self.0.downcast_ref()
    }
}

impl std::fmt::Debug for ExternRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExternRef")
    }
}

/// A WebAssembly value.
#[derive(Debug, Clone)]
pub enum Val {
    /// 32-bit integer.
    I32(i32),
    /// 64-bit integer.
    I64(i64),
    /// Bits of a 32-bit float.
    F32(u32),
    /// Bits of a 64-bit float.
    F64(u64),
    /// 128-bit vector, lane 0 in the low bits.
    V128(u128),
    /// Function reference.
    FuncRef(Option<Func>),
    /// Reference to a host object.
    ExternRef(Option<ExternRef>),
    /// Reference to an exception.
    ExnRef(Option<Exception>),
}

impl Val {
    /// The value's type; of a reference, the widest.
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(_) => ValType::FUNCREF,
            Val::ExternRef(_) => ValType::EXTERNREF,
            Val::ExnRef(_) => ValType::EXNREF,
        }
    }

    /// Whether it is the null reference.
    pub fn is_null(&self) -> bool {
        matches!(self, Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None))
    }

    /// Zero, or the null reference.
    pub fn default_of(ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(0),
            ty if ty.is_func_ref() => Val::FuncRef(None),
            ty if ty.is_exn_ref() => Val::ExnRef(None),
            ValType::Ref(_) => Val::ExternRef(None),
        }
    }
}
