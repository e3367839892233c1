//! Arguments and results of entry points as numbers, whatever their types.

use wfaas_vm::WasmList;

/// Arguments or results of a call.
pub(crate) type Cells = [u64; 4];

/// A list of numbers: `()`, one, or a tuple of up to four.
pub trait Numbers: WasmList {
    /// Writes the numbers to cells.
    #[doc(hidden)]
    fn write(self, cells: &mut [u64; 4]);
    /// Reads the numbers from cells.
    #[doc(hidden)]
    fn read(cells: &[u64; 4]) -> Self;
}

macro_rules! numbers {
    ($($number:ty as $unsigned:ty),*) => {
        $(impl Numbers for $number {
            fn write(self, cells: &mut [u64; 4]) {
                cells[0] = u64::from(self as $unsigned);
            }
            fn read(cells: &[u64; 4]) -> Self {
                cells[0] as $number
            }
        })*
    };
}
numbers!(i32 as u32, u32 as u32, i64 as u64, u64 as u64);

macro_rules! tuples {
    ($(($($index:tt $name:ident)*))*) => {
        $(impl<$($name),*> Numbers for ($($name,)*)
        where
            ($($name,)*): WasmList,
            $($name: Numbers,)*
        {
            fn write(self, _cells: &mut [u64; 4]) {
                $({
                    let mut one = [0; 4];
                    self.$index.write(&mut one);
                    _cells[$index] = one[0];
                })*
            }
            #[allow(clippy::unused_unit)] // for the empty tuple
            fn read(_cells: &[u64; 4]) -> Self {
                ($($name::read(&[_cells[$index], 0, 0, 0]),)*)
            }
        })*
    };
}
tuples! { () (0 A) (0 A 1 B) (0 A 1 B 2 C) (0 A 1 B 2 C 3 D) }
