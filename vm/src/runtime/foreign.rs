//! Function references that cross from one instance's terms to another's.

use crate::runtime::error::Error;
use crate::runtime::item::FuncId;
use crate::runtime::objects::{Objects, push};
use wfaas_abi::{FuncRef, FuncType};

impl Objects {
    /// A reference to `func` in the terms of instance `holder`: native if it is one of its own,
    /// otherwise foreign.
    pub(crate) fn func_to_ref(
        &mut self,
        func: FuncId,
        holder: Option<u32>,
    ) -> Result<FuncRef, Error> {
        if let (FuncId::Guest { instance, index }, Some(holder)) = (func, holder)
            && instance == holder
        {
            return self.instances[instance as usize].native_ref(index);
        }
        let ty = self.func_type(func);
        let index = match self.foreign.indices.get(&func) {
            Some(index) => *index,
            None => self.add_foreign(func, &ty)?,
        };
        Ok(FuncRef::foreign(index, ty.id()))
    }

    fn add_foreign(&mut self, func: FuncId, ty: &FuncType) -> Result<u32, Error> {
        if self.type_ids.is_empty() {
            for instance in 0..self.instances.len() {
                self.add_type_ids(instance)?;
            }
        }
        self.add_type_id(ty.clone())?;
        self.check_foreign()?;
        let record = self.func_import(func)?;
        let index = push(&mut self.foreign.records, Box::new(record));
        self.foreign.funcs.push(func);
        self.foreign.indices.insert(func, index);
        Ok(index)
    }

    /// The function that a reference in the terms of instance `holder` names.
    pub(crate) fn func_from_ref(
        &self,
        reference: FuncRef,
        holder: Option<u32>,
    ) -> Result<Option<FuncId>, Error> {
        let dangling = || Error::Unsupported("a function reference names no function".into());
        if reference.is_null() {
            return Ok(None);
        }
        if reference.is_foreign() {
            let func = self.foreign.funcs.get(reference.code as usize);
            return func.copied().map(Some).ok_or_else(dangling);
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
        match self.func_from_ref(reference, from)? {
            None => Ok(0),
            Some(func) => Ok(self.func_to_ref(func, to)?.to_bits()),
        }
    }

    /// Notes the type ids of an instance, so that no two types of the store share one.
    pub(crate) fn add_type_ids(&mut self, instance: usize) -> Result<(), Error> {
        let module = self.instances[instance].module.clone();
        let artifact = module.artifact();
        for index in 0..artifact.types().len() {
            self.add_type_id(artifact.func_type(index as u32)?)?;
        }
        Ok(())
    }

    fn add_type_id(&mut self, ty: FuncType) -> Result<(), Error> {
        let known = self.type_ids.entry(ty.id()).or_insert_with(|| ty.clone());
        if *known == ty {
            return Ok(());
        }
        let message = format!("function types {known} and {ty} have the same id");
        Err(Error::Unsupported(message))
    }
}
