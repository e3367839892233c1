//! Functions: guests' and the host's.

use crate::call::{Callee, call_guest};
use crate::error::{BoxError, Error};
use crate::host_func::{HostParams, HostResults, invoke_typed, typed_shim};
use crate::instance::InstanceInner;
use crate::store::{AsContext, AsContextMut, Pending, Store, StoreInner};
use crate::typed::TypedFunc;
use crate::values::{ExternRef, Val, WasmList};
use crate::{Caller, host_func};
use std::any::Any;
use std::sync::Arc;
use wfaas_abi::context::FuncImport;
use wfaas_abi::{FuncRef, FuncType, HeapType, RefType, ValType};

/// A function of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Func {
    pub(crate) store: u32,
    pub(crate) kind: FuncKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FuncKind {
    /// Function `index` of instance `instance`.
    Guest { instance: u32, index: u32 },
    /// Host function of the store.
    Host(u32),
}

/// `extern "C"` entry that compiled code calls; which of the two, [`FuncImport`] says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shim {
    Array(extern "C" fn(*const (), *mut InstanceInner, *mut u64)),
    Registers(extern "C" fn(*const (), *mut InstanceInner, u64, u64, u64, u64) -> u64),
}

impl Shim {
    fn address(self) -> u64 {
        match self {
            Shim::Array(shim) => shim as *const () as u64,
            Shim::Registers(shim) => shim as *const () as u64,
        }
    }
}

/// The same without the return to guest code.
pub(crate) type Invoke =
    unsafe fn(*const (), *mut StoreInner, Option<u32>, *mut u64) -> Result<(), Pending>;

/// A host function.
pub(crate) struct HostFunc {
    pub(crate) ty: FuncType,
    pub(crate) shim: Shim,
    pub(crate) invoke: Invoke,
    /// The closure, at the address that shim and invoke get.
    pub(crate) closure: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for HostFunc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostFunc{}", self.ty)
    }
}

impl HostFunc {
    /// A host function with Rust's types.
    pub(crate) fn typed<T: 'static, F, P, R>(function: F) -> Arc<HostFunc>
    where
        F: host_func::IntoHostFunc<T, P, R>,
        P: HostParams,
        R: HostResults,
    {
        let ty = FuncType::new(P::types(), R::types());
        Arc::new(HostFunc {
            shim: typed_shim::<T, F, P, R>(&ty),
            ty,
            invoke: invoke_typed::<T, F, P, R>,
            closure: Box::new(function),
        })
    }

    pub(crate) fn env(&self) -> *const () {
        std::ptr::from_ref(&*self.closure).cast()
    }
}

impl Func {
    /// A host function with a type known at run time. The closure gets the arguments, and results
    /// of the right types to overwrite.
    pub fn new<T: 'static>(
        store: &mut Store<T>,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Func {
        store.0.inner.add_host_func(host_func::dynamic(ty, function))
    }

    /// The function's type.
    pub fn ty(&self, store: &impl AsContext) -> FuncType {
        store.inner().func_type(*self)
    }

    /// Calls the function.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the arguments do not fit; [`Error::Trap`], [`Error::Host`] and
    /// [`Error::Exception`] as the function ends.
    pub fn call(&self, store: &mut impl AsContextMut, args: &[Val]) -> Result<Vec<Val>, Error> {
        let store = store.inner_mut();
        let ty = store.func_type(*self);
        store.check_types(args, ty.params())?;
        let holder = match self.kind {
            FuncKind::Guest { instance, .. } => Some(instance),
            FuncKind::Host(_) => None,
        };
        let mut cells = vec![0; ty.array_cells()];
        store.write_cells(&mut cells, args.iter(), holder)?;
        store.call(*self, &mut cells)?;
        store.read_cells(&cells, ty.results(), holder)
    }

    /// The function with Rust's types for its parameters and results.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if they are not the function's.
    pub fn typed<P: WasmList, R: WasmList>(
        &self,
        store: &mut impl AsContextMut,
    ) -> Result<TypedFunc<P, R>, Error> {
        TypedFunc::new(store.inner_mut(), *self)
    }
}

impl StoreInner {
    pub(crate) fn add_host_func(&mut self, func: Arc<HostFunc>) -> Func {
        self.host_funcs.push(func);
        Func { store: self.id, kind: FuncKind::Host((self.host_funcs.len() - 1) as u32) }
    }

    pub(crate) fn func_type(&self, func: Func) -> FuncType {
        self.check_id(func.store);
        match func.kind {
            FuncKind::Guest { instance, index } => {
                let artifact = self.instances[instance as usize].module.artifact();
                let record = artifact.functions()[index as usize];
                artifact.func_type(record.type_index.get()).expect("checked when it was exported")
            }
            FuncKind::Host(index) => self.host_funcs[index as usize].ty.clone(),
        }
    }

    /// How compiled code can call the function.
    pub(crate) fn func_import(&self, func: Func) -> Result<FuncImport, Error> {
        match func.kind {
            FuncKind::Guest { .. } => {
                let callee = self.callee(func)?;
                Ok(FuncImport { code: callee.code as u64, base: callee.base as u64, env: 0 })
            }
            FuncKind::Host(index) => {
                let host = &self.host_funcs[index as usize];
                Ok(FuncImport { code: host.shim.address(), base: 0, env: host.env() as u64 })
            }
        }
    }

    /// How to call a guest function.
    pub(crate) fn callee(&self, func: Func) -> Result<Callee, Error> {
        let FuncKind::Guest { instance, index } = func.kind else {
            return Err(Error::Unsupported("a host function is no guest function".into()));
        };
        self.check_id(func.store);
        self.instances[instance as usize].callee(index)
    }

    /// Calls any function with its arguments in cells.
    pub(crate) fn call(&mut self, func: Func, cells: &mut [u64]) -> Result<(), Error> {
        match func.kind {
            FuncKind::Guest { .. } => {
                let callee = self.callee(func)?;
                // SAFETY: `callee` found it in this store, and callers size the cells by the type.
                unsafe { call_guest(self, callee, cells.as_mut_ptr()) }
            }
            FuncKind::Host(index) => {
                self.check_id(func.store);
                let host = self.host_funcs[index as usize].clone();
                // SAFETY: the closure is the one `invoke` was made for, the store is exclusively
                // ours and of the type it was defined for, and the cells are sized by the type.
                let result = unsafe { (host.invoke)(host.env(), self, None, cells.as_mut_ptr()) };
                result.map_err(|pending| {
                    self.pending = Some(pending);
                    self.take_pending()
                })
            }
        }
    }

    /// Writes values to cells, references in the terms of instance `holder`.
    pub(crate) fn write_cells<'a>(
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
    pub(crate) fn read_cells(
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
    pub(crate) fn is_of(&self, value: &Val, ty: ValType) -> bool {
        let ValType::Ref(RefType { nullable, heap }) = ty else { return value.ty() == ty };
        match (value, heap) {
            (Val::FuncRef(Some(func)), HeapType::Concrete(hash)) => {
                self.func_type(*func).hash() == hash
            }
            (Val::FuncRef(None), _) => nullable && ty.is_func_ref(),
            (Val::ExternRef(None), _) => nullable && ty.is_extern_ref(),
            (Val::ExnRef(None), _) => nullable && ty.is_exn_ref(),
            (value, heap) => value.ty() == ValType::Ref(RefType { nullable: true, heap }),
        }
    }

    /// Values must be of these types.
    pub(crate) fn check_types(&self, values: &[Val], types: &[ValType]) -> Result<(), Error> {
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
    pub(crate) fn val_to_bits(
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
            Val::FuncRef(Some(func)) => self.func_to_ref(*func, holder)?.to_bits(),
            Val::ExternRef(Some(object)) => self.extern_to_bits(object),
        };
        Ok((low, 0))
    }

    /// The reverse of [`StoreInner::val_to_bits`].
    pub(crate) fn val_from_bits(
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
                Val::FuncRef(self.func_from_ref(FuncRef::from_bits(low), holder)?)
            }
            ty if ty.is_exn_ref() => {
                let exception = || self.exception(low);
                Val::ExnRef((low != 0).then(exception).transpose()?)
            }
            ValType::Ref(_) => {
                let object = (low as usize).checked_sub(1).and_then(|at| self.extern_refs.get(at));
                Val::ExternRef(object.cloned())
            }
        })
    }

    fn extern_to_bits(&mut self, object: &ExternRef) -> u64 {
        let same = |other: &ExternRef| Arc::ptr_eq(&other.0, &object.0);
        let index = self.extern_refs.iter().position(same).unwrap_or_else(|| {
            self.extern_refs.push(object.clone());
            self.extern_refs.len() - 1
        });
        index as u64 + 1
    }
}
