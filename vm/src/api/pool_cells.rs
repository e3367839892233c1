//! Functions of a pool's module by their bits, whatever their types.

use crate::api::pool::{Faaslet, PoolFunc};
use crate::api::wasm_ty::{MAX_CELLS, References, WasmList};
use crate::runtime::error::Error;
use wfaas_abi::ValType;

/// Most numbers that such a function takes or returns.
const MOST: usize = 4;

/// A function of a pool's module that takes and returns at most four numbers, by their bits: one type
/// for all of them, so that a list of functions needs no box for each, nor a box for each call's future.
#[derive(Debug, Clone, Copy)]
pub struct PoolCellsFunc(PoolFunc<Cells, Cells>);

/// The bits of up to four numbers. Those of an `i32` or `f32` are in the lower half, zeros above.
#[derive(Debug)]
struct Cells([u64; MOST]);

/// Never a type to look a function up by: it is not public.
impl WasmList for Cells {
    const CELLS: usize = MOST;

    fn types() -> Vec<ValType> {
        vec![ValType::I64; MOST]
    }

    #[inline(always)]
    fn to_cells(
        self,
        cells: &mut [u64; MAX_CELLS],
        _references: &mut References<'_>,
    ) -> Result<(), Error> {
        cells[..MOST].copy_from_slice(&self.0);
        Ok(())
    }

    #[inline(always)]
    fn from_cells(cells: &[u64; MAX_CELLS], _references: &References<'_>) -> Result<Self, Error> {
        Ok(Cells([cells[0], cells[1], cells[2], cells[3]]))
    }
}

impl<P: WasmList, R: WasmList> PoolFunc<P, R> {
    /// The function by the bits of its numbers; `None` if it has others than numbers, or more than
    /// four parameters or results.
    pub fn with_cells(&self) -> Option<PoolCellsFunc> {
        let is_number =
            |ty: &ValType| matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64);
        let fits = |types: Vec<ValType>| types.len() <= MOST && types.iter().all(is_number);
        (fits(P::types()) && fits(R::types())).then(|| PoolCellsFunc(self.with_types()))
    }
}

impl<'pool, T: Default + Send + 'static> Faaslet<'pool, T> {
    /// Calls a function by the bits of its numbers; see [`Faaslet::call`].
    ///
    /// # Errors
    /// As [`Faaslet::call`].
    ///
    /// # Panics
    /// If `func` is of another module's pool.
    #[inline]
    pub fn call_cells(&mut self, func: &PoolCellsFunc, cells: [u64; 4]) -> Result<[u64; 4], Error> {
        self.call(&func.0, Cells(cells)).map(|Cells(cells)| cells)
    }

    /// Calls a function by the bits of its numbers; host functions that it calls may wait. See
    /// [`Faaslet::call_async`].
    ///
    /// # Errors
    /// As [`Faaslet::call_async`].
    ///
    /// # Panics
    /// If `func` is of another module's pool.
    #[inline]
    pub async fn call_cells_async(
        &mut self,
        func: &PoolCellsFunc,
        cells: [u64; 4],
    ) -> Result<[u64; 4], Error> {
        self.call_async(&func.0, Cells(cells)).await.map(|Cells(cells)| cells)
    }
}
