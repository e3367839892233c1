//! Rust types that stand for WebAssembly types, and how they lie in argument cells.

use crate::api::func::Func;
use crate::api::val::ExternRef;
use crate::call::state::MAX_CELLS as CALL_CELLS;
use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use crate::runtime::thrown::Exception;
use wfaas_abi::{FuncRef, ValType};

/// Cells a typed call has room for.
pub(crate) const MAX_CELLS: usize = CALL_CELLS;

/// Meaning of references in argument cells: their store, and the instance that they are relative
/// to.
#[derive(Debug)]
pub struct References<'a> {
    objects: &'a mut Objects,
    holder: Option<u32>,
}

impl<'a> References<'a> {
    #[inline(always)]
    pub(super) fn new(objects: &'a mut Objects, holder: Option<u32>) -> Self {
        References { objects, holder }
    }
}

/// A Rust type that stands for a WebAssembly type: a number, `u128` for a vector, or an `Option` of
/// [`Func`], [`ExternRef`] or [`Exception`] for a reference that may be null.
pub trait WasmTy: Sized + Send + 'static {
    /// The WebAssembly type.
    const TYPE: ValType;
    /// Cells that it takes.
    #[doc(hidden)]
    const CELLS: usize = 1;
    /// Writes the bits to the first cells.
    #[doc(hidden)]
    fn to_cells(self, cells: &mut [u64], references: &mut References<'_>) -> Result<(), Error>;
    /// The value of the bits in the first cells.
    #[doc(hidden)]
    fn from_cells(cells: &[u64], references: &References<'_>) -> Result<Self, Error>;
}

macro_rules! wasm_ty {
    ($($rust:ty, $wasm:ident, $value:ident => $to:expr, $cell:ident => $from:expr;)*) => {
        $(impl WasmTy for $rust {
            const TYPE: ValType = ValType::$wasm;
            #[inline(always)]
            fn to_cells(self, cells: &mut [u64], _: &mut References<'_>) -> Result<(), Error> {
                let $value = self;
                cells[0] = $to;
                Ok(())
            }
            #[inline(always)]
            fn from_cells(cells: &[u64], _: &References<'_>) -> Result<Self, Error> {
                let $cell = cells[0];
                Ok($from)
            }
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

/// A vector, lane 0 in the low bits.
impl WasmTy for u128 {
    const TYPE: ValType = ValType::V128;
    const CELLS: usize = 2;
    #[inline(always)]
    fn to_cells(self, cells: &mut [u64], _: &mut References<'_>) -> Result<(), Error> {
        cells[0] = self as u64;
        cells[1] = (self >> 64) as u64;
        Ok(())
    }
    #[inline(always)]
    fn from_cells(cells: &[u64], _: &References<'_>) -> Result<Self, Error> {
        Ok(u128::from(cells[1]) << 64 | u128::from(cells[0]))
    }
}

impl WasmTy for Option<Func> {
    const TYPE: ValType = ValType::FUNCREF;
    fn to_cells(self, cells: &mut [u64], references: &mut References<'_>) -> Result<(), Error> {
        let References { objects, holder } = references;
        cells[0] = match self {
            None => 0,
            Some(func) => objects.func_to_ref(func.id_in(objects), *holder)?.to_bits(),
        };
        Ok(())
    }
    fn from_cells(cells: &[u64], references: &References<'_>) -> Result<Self, Error> {
        let References { objects, holder } = references;
        let func = objects.func_from_ref(FuncRef::from_bits(cells[0]), *holder)?;
        Ok(func.map(|id| Func { store: objects.id(), id }))
    }
}

impl WasmTy for Option<ExternRef> {
    const TYPE: ValType = ValType::EXTERNREF;
    fn to_cells(self, cells: &mut [u64], references: &mut References<'_>) -> Result<(), Error> {
        let objects = &mut *references.objects;
        cells[0] = self.map_or(0, |object| objects.object_to_bits(&object.0));
        Ok(())
    }
    fn from_cells(cells: &[u64], references: &References<'_>) -> Result<Self, Error> {
        Ok(references.objects.object_from_bits(cells[0]).map(ExternRef))
    }
}

impl WasmTy for Option<Exception> {
    const TYPE: ValType = ValType::EXNREF;
    fn to_cells(self, cells: &mut [u64], references: &mut References<'_>) -> Result<(), Error> {
        cells[0] = match self {
            None => 0,
            Some(exception) => references.objects.exception_to_bits(&exception)?,
        };
        Ok(())
    }
    fn from_cells(cells: &[u64], references: &References<'_>) -> Result<Self, Error> {
        let exception = || references.objects.exception(cells[0]);
        (cells[0] != 0).then(exception).transpose()
    }
}

/// Parameters or results of a typed function: `()`, one value, or a tuple of up to ten.
pub trait WasmList: Sized + Send + 'static {
    /// Cells that they take.
    #[doc(hidden)]
    const CELLS: usize;
    /// The types, in order.
    fn types() -> Vec<ValType>;
    /// Writes the values to cells.
    #[doc(hidden)]
    fn to_cells(
        self,
        cells: &mut [u64; MAX_CELLS],
        references: &mut References<'_>,
    ) -> Result<(), Error>;
    /// Reads the values from cells.
    #[doc(hidden)]
    fn from_cells(cells: &[u64; MAX_CELLS], references: &References<'_>) -> Result<Self, Error>;
}

impl<A: WasmTy> WasmList for A {
    const CELLS: usize = A::CELLS;
    fn types() -> Vec<ValType> {
        vec![A::TYPE]
    }
    #[inline(always)]
    fn to_cells(
        self,
        cells: &mut [u64; MAX_CELLS],
        references: &mut References<'_>,
    ) -> Result<(), Error> {
        A::to_cells(self, cells, references)
    }
    #[inline(always)]
    fn from_cells(cells: &[u64; MAX_CELLS], references: &References<'_>) -> Result<Self, Error> {
        A::from_cells(cells, references)
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
            const CELLS: usize = 0 $(+ $name::CELLS)*;
            fn types() -> Vec<ValType> { vec![$($name::TYPE),*] }
            #[inline(always)]
            fn to_cells(
                self,
                _cells: &mut [u64; MAX_CELLS],
                _references: &mut References<'_>,
            ) -> Result<(), Error> {
                let _at = 0;
                $(
                    self.$index.to_cells(&mut _cells[_at..], _references)?;
                    let _at = _at + $name::CELLS;
                )*
                Ok(())
            }
            #[inline(always)]
            fn from_cells(
                _cells: &[u64; MAX_CELLS],
                _references: &References<'_>,
            ) -> Result<Self, Error> {
                let _at = 0;
                $(
                    #[allow(non_snake_case)] // a value for each type
                    let $name = $name::from_cells(&_cells[_at..], _references)?;
                    let _at = _at + $name::CELLS;
                )*
                Ok(($($name,)*))
            }
        }
    };
}
for_each_tuple!(tuple_list);
