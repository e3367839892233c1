//! Values that cross the border, and how they lie in argument cells.

use crate::exception::Exception;
use crate::func::Func;
use std::any::Any;
use std::sync::Arc;
use wfaas_abi::ValType;

/// A host object that guests can hold and pass around, but not look into.
#[derive(Clone)]
pub struct ExternRef(pub(crate) Arc<dyn Any + Send + Sync>);

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

/// Cells a typed call has room for.
pub(crate) const MAX_CELLS: usize = 12;

/// A Rust type that stands for a WebAssembly type in one argument cell.
pub trait WasmTy: Copy + 'static {
    /// The WebAssembly type.
    const TYPE: ValType;
    /// The bits in a cell.
    fn to_cell(self) -> u64;
    /// The value of a cell's bits.
    fn from_cell(cell: u64) -> Self;
}

macro_rules! wasm_ty {
    ($($rust:ty, $wasm:ident, $value:ident => $to:expr, $cell:ident => $from:expr;)*) => {
        $(impl WasmTy for $rust {
            const TYPE: ValType = ValType::$wasm;
            fn to_cell(self) -> u64 { let $value = self; $to }
            fn from_cell($cell: u64) -> Self { $from }
        })*
    };
}

wasm_ty! {
    i32, I32, value => u64::from(value as u32), cell => cell as i32;
    u32, I32, value => u64::from(value), cell => cell as u32;
    i64, I64, value => value as u64, cell => cell as i64;
    u64, I64, value => value, cell => cell;
    f32, F32, value => u64::from(value.to_bits()), cell => f32::from_bits(cell as u32);
    f64, F64, value => value.to_bits(), cell => f64::from_bits(cell);
}

/// Parameters or results of a typed function: `()`, one value, or a tuple of them.
pub trait WasmList: 'static {
    /// How many there are.
    const LEN: usize;
    /// The types, in order.
    fn types() -> Vec<ValType>;
    /// Writes the values to cells.
    fn to_cells(self, cells: &mut [u64; MAX_CELLS]);
    /// Reads the values from cells.
    fn from_cells(cells: &[u64; MAX_CELLS]) -> Self;
}

impl<A: WasmTy> WasmList for A {
    const LEN: usize = 1;
    fn types() -> Vec<ValType> {
        vec![A::TYPE]
    }
    fn to_cells(self, cells: &mut [u64; MAX_CELLS]) {
        cells[0] = self.to_cell();
    }
    fn from_cells(cells: &[u64; MAX_CELLS]) -> Self {
        A::from_cell(cells[0])
    }
}

/// Invokes a macro for each tuple size: `$macro!(0 A 1 B ...)`.
macro_rules! for_each_tuple {
    ($macro:ident) => {
        $macro!();
        $macro!(0 A);
        $macro!(0 A 1 B);
        $macro!(0 A 1 B 2 C);
        $macro!(0 A 1 B 2 C 3 D);
        $macro!(0 A 1 B 2 C 3 D 4 E);
        $macro!(0 A 1 B 2 C 3 D 4 E 5 F);
        $macro!(0 A 1 B 2 C 3 D 4 E 5 F 6 G);
        $macro!(0 A 1 B 2 C 3 D 4 E 5 F 6 G 7 H);
        $macro!(0 A 1 B 2 C 3 D 4 E 5 F 6 G 7 H 8 I);
        $macro!(0 A 1 B 2 C 3 D 4 E 5 F 6 G 7 H 8 I 9 J);
    };
}
pub(crate) use for_each_tuple;

macro_rules! tuple_list {
    ($($index:tt $name:ident)*) => {
        impl<$($name: WasmTy),*> WasmList for ($($name,)*) {
            const LEN: usize = <[usize]>::len(&[$($index),*]);
            fn types() -> Vec<ValType> { vec![$($name::TYPE),*] }
            fn to_cells(self, _cells: &mut [u64; MAX_CELLS]) {
                $(_cells[$index] = self.$index.to_cell();)*
            }
            #[allow(clippy::unused_unit)] // for the empty tuple
            fn from_cells(_cells: &[u64; MAX_CELLS]) -> Self { ($($name::from_cell(_cells[$index]),)*) }
        }
    };
}
for_each_tuple!(tuple_list);
