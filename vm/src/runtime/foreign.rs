//! Function references that cross from one instance's terms to another's.

use crate::runtime::error::{Error, without_frames};
use crate::runtime::instance::InstanceInner;
use crate::runtime::item::FuncId;
use crate::runtime::objects::{ForeignFunc, Objects, push};
use wfaas_abi::context::FuncImport;
use wfaas_abi::{ArtifactError, FuncRef, TrapCode, TypeHash};

impl Objects {
    /// A reference to `func` in the terms of instance `holder`: native if it is one of its own,
    /// otherwise foreign.
    pub(crate) fn func_to_ref(
        &mut self,
        func: FuncId,
        holder: Option<u32>,
    ) -> Result<FuncRef, Error> {
        if let FuncId::Guest { instance, index } = func
            && is_own(func, holder)
        {
            return self.instances[instance as usize].native_ref(index);
        }
        let index = match self.foreign.indices.get(&func) {
            Some(index) => *index,
            None => self.add_foreign(func)?,
        };
        Ok(FuncRef::foreign(index))
    }

    fn add_foreign(&mut self, func: FuncId) -> Result<u32, Error> {
        self.check_foreign()?;
        let (ty, record) = (self.type_hash(func)?, self.func_import(func)?);
        let foreign = ForeignFunc { func, ty, called_as: None, record };
        let index = push(&mut self.foreign.funcs, Box::new(foreign));
        self.foreign.indices.insert(func, index);
        Ok(index)
    }

    fn foreign_func(&self, index: u32) -> Result<&ForeignFunc, Error> {
        let func = self.foreign.funcs.get(index as usize);
        func.map(|func| &**func).ok_or_else(dangling)
    }

    /// The record of the foreign function `index`, to be called as a function of type `ty` of the
    /// module of instance `caller`. The check of the type is remembered: it takes longer than the rest
    /// of the call, and a reference mostly has one place that calls it.
    ///
    /// # Errors
    /// [`Error::Trap`] if it is of another type.
    #[inline]
    pub(super) fn foreign_record(
        &mut self,
        index: u32,
        ty: u32,
        caller: u32,
    ) -> Result<&FuncImport, Error> {
        let func = self.foreign.funcs.get_mut(index as usize).ok_or_else(dangling)?;
        if func.called_as != Some((caller, ty)) {
            check_type(func, &self.instances[caller as usize], ty)?;
            func.called_as = Some((caller, ty));
        }
        Ok(&func.record)
    }

    /// The function that a reference in the terms of instance `holder` names.
    pub(crate) fn func_from_ref(
        &self,
        reference: FuncRef,
        holder: Option<u32>,
    ) -> Result<Option<FuncId>, Error> {
        if reference.is_null() {
            return Ok(None);
        }
        if reference.is_foreign() {
            return Ok(Some(self.foreign_func(reference.code)?.func));
        }
        let instance = holder.ok_or_else(dangling)?;
        let artifact = self.instances[instance as usize].module.artifact();
        let (index, _) = artifact.function_at(reference.code).ok_or_else(dangling)?;
        Ok(Some(FuncId::Guest { instance, index }))
    }

    /// The bits of a function reference in `to`'s terms, given in `from`'s.
    pub(crate) fn translate(
        &mut self,
        bits: u64,
        from: Option<u32>,
        to: Option<u32>,
    ) -> Result<u64, Error> {
        let reference = FuncRef::from_bits(bits);
        if from == to || reference.is_null() {
            return Ok(bits);
        }
        let between = from.zip(to);
        let known = between.and_then(|(from, to)| self.foreign.translated.get(bits, from, to));
        if let Some(known) = known {
            return Ok(known);
        }
        let Some(func) = self.func_from_ref(reference, from)? else { return Ok(0) };
        let result = self.func_to_ref(func, to)?.to_bits();
        if let Some((from, to)) = between {
            let functions = self.foreign.funcs.len();
            self.foreign.translated.insert(bits, from, to, result, functions);
        }
        Ok(result)
    }
}

/// Whether a function is one of the instance `holder`.
fn is_own(func: FuncId, holder: Option<u32>) -> bool {
    matches!(func, FuncId::Guest { instance, .. } if Some(instance) == holder)
}

/// A foreign function must be of type `ty` of an instance's module.
#[cold]
fn check_type(func: &ForeignFunc, caller: &InstanceInner, ty: u32) -> Result<(), Error> {
    let artifact = caller.module.artifact();
    let expected = artifact.types().get(ty as usize);
    let expected = expected.ok_or(ArtifactError::Corrupt("a type index is out of range"))?;
    if func.ty != TypeHash(expected.hash) {
        return Err(without_frames(TrapCode::IndirectCallTypeMismatch));
    }
    Ok(())
}

fn dangling() -> Error {
    Error::Unsupported("a function reference names no function".into())
}
