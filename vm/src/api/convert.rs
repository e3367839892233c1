//! Between values and the bits that guests know: in argument cells, globals and tables.

use crate::api::func::Func;
use crate::api::val::{ExternRef, Val};
use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use wfaas_abi::{FuncRef, HeapType, RefType, ValType};

impl Objects {
    /// Writes values to cells, references in the terms of instance `holder`.
    pub(super) fn write_cells<'a>(
        &mut self,
        cells: &mut [u64],
        values: impl Iterator<Item = &'a Val>,
        holder: Option<u32>,
    ) -> Result<(), Error> {
        let mut at = 0;
        for value in values {
            let (low, high) = self.val_to_bits(value, holder)?;
            cells[at] = low;
            at += 1;
            if let Val::V128(_) = value {
                cells[at] = high;
                at += 1;
            }
        }
        Ok(())
    }

    /// Reads values from cells, references in the terms of instance `holder`.
    pub(super) fn read_cells(
        &self,
        cells: &[u64],
        types: &[ValType],
        holder: Option<u32>,
    ) -> Result<Vec<Val>, Error> {
        let mut at = 0;
        let mut values = Vec::with_capacity(types.len());
        for ty in types {
            let wide = *ty == ValType::V128;
            let high = if wide { cells[at + 1] } else { 0 };
            values.push(self.val_from_bits(*ty, cells[at], high, holder)?);
            at += if wide { 2 } else { 1 };
        }
        Ok(values)
    }

    /// Whether a value is one of type `ty`.
    pub(super) fn is_of(&self, value: &Val, ty: ValType) -> bool {
        let ValType::Ref(RefType { nullable, heap }) = ty else { return value.ty() == ty };
        match (value, heap) {
            (Val::FuncRef(Some(func)), HeapType::Concrete(hash)) => {
                self.type_hash(func.id).is_ok_and(|found| found == hash)
            }
            (Val::FuncRef(None), _) => nullable && ty.is_func_ref(),
            (Val::ExternRef(None), _) => nullable && ty.is_extern_ref(),
            (Val::ExnRef(None), _) => nullable && ty.is_exn_ref(),
            (value, heap) => value.ty() == ValType::Ref(RefType { nullable: true, heap }),
        }
    }

    /// Values must be of these types.
    pub(super) fn check_types(&self, values: &[Val], types: &[ValType]) -> Result<(), Error> {
        let fit = values.len() == types.len()
            && values.iter().zip(types).all(|(value, ty)| self.is_of(value, *ty));
        if fit {
            return Ok(());
        }
        let list = |types: Vec<ValType>| {
            format!("({})", types.iter().map(ValType::to_string).collect::<Vec<_>>().join(", "))
        };
        let found = list(values.iter().map(Val::ty).collect());
        Err(Error::TypeMismatch { expected: list(types.to_vec()), found })
    }

    /// The bits of a value, low and high half, references in the terms of instance `holder`.
    pub(super) fn val_to_bits(
        &mut self,
        value: &Val,
        holder: Option<u32>,
    ) -> Result<(u64, u64), Error> {
        let low = match value {
            Val::I32(value) => u64::from(*value as u32),
            Val::I64(value) => *value as u64,
            Val::F32(bits) => u64::from(*bits),
            Val::F64(bits) => *bits,
            Val::V128(bits) => return Ok((*bits as u64, (*bits >> 64) as u64)),
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) => 0,
            Val::ExnRef(Some(exception)) => self.exception_to_bits(exception)?,
            Val::FuncRef(Some(func)) => self.func_to_ref(func.id_in(self), holder)?.to_bits(),
            Val::ExternRef(Some(object)) => self.object_to_bits(&object.0),
        };
        Ok((low, 0))
    }

    /// The reverse of [`Objects::val_to_bits`].
    pub(super) fn val_from_bits(
        &self,
        ty: ValType,
        low: u64,
        high: u64,
        holder: Option<u32>,
    ) -> Result<Val, Error> {
        Ok(match ty {
            ValType::I32 => Val::I32(low as i32),
            ValType::I64 => Val::I64(low as i64),
            ValType::F32 => Val::F32(low as u32),
            ValType::F64 => Val::F64(low),
            ValType::V128 => Val::V128(u128::from(high) << 64 | u128::from(low)),
            ty if ty.is_func_ref() => {
                let func = self.func_from_ref(FuncRef::from_bits(low), holder)?;
                Val::FuncRef(func.map(|id| Func { store: self.id(), id }))
            }
            ty if ty.is_exn_ref() => {
                let exception = || self.exception(low);
                Val::ExnRef((low != 0).then(exception).transpose()?)
            }
            ValType::Ref(_) => Val::ExternRef(self.object_from_bits(low).map(ExternRef)),
        })
    }
}
