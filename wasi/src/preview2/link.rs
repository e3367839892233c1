//! Linking: a host function for each import of a fused module.

use super::host::{Function, Host, HostFn, Interface, Stop};
use crate::canonical::{Component, Lift, MAX_FLAT_PARAMS, Resources, Value, Violation};
use crate::context::HasWasi;
use crate::preview1::{Failure, call_component};
use std::sync::Arc;
use wfaas_vm::component::{
    self, Bindings, FunctionIndex, FunctionName, ImportKind, ResourceIndex, StringEncoding,
};
use wfaas_vm::{BoxError, Caller, ExternType, FuncType, Linker, MaybeFuture, Module, ValType};

/// A lowered import, and its implementation.
pub(super) struct Lowered {
    pub(super) component: Arc<Component>,
    ty: FunctionIndex,
    pub(super) encoding: StringEncoding,
    pub(super) stores_result: bool,
    /// Core parameters before the address of the result.
    params: usize,
    name: FunctionName,
    function: Function,
}

impl Lowered {
    pub(super) fn function(&self) -> &component::Function {
        &self.component.bindings().functions[self.ty.index()]
    }

    /// Puts the function's name into an error that has none.
    pub(super) fn named(&self, violation: Violation) -> Violation {
        match violation {
            Violation::Type { .. } => Violation::Type { function: shown(&self.name) },
            other => other,
        }
    }

    fn named_failure(&self, stop: Stop) -> Failure {
        match stop.0 {
            Failure::End(error) => match error.downcast::<Violation>() {
                Ok(violation) => Failure::End(self.named(*violation).into()),
                Err(error) => Failure::End(error),
            },
            other => other,
        }
    }

    fn lift<T: HasWasi>(
        &self,
        caller: &mut Caller<'_, T>,
        cells: &[u64],
    ) -> Result<Vec<Value>, Violation> {
        with_guest(caller, |memory, resources| {
            Lift::new(&self.component, memory, resources, self.encoding)
                .params(self.function(), cells)
        })
    }
}

/// The function of an interface, as messages name it.
fn shown(name: &FunctionName) -> String {
    let FunctionName { interface, name } = name;
    let shown = if interface.is_empty() { name.clone() } else { format!("{interface} {name}") };
    wfaas_vm::untrusted::name(&shown).to_string()
}

/// Finds the implementation of a function.
fn find(interfaces: &[&[&Interface]], name: &FunctionName) -> Option<&'static Function> {
    let mut all = interfaces.iter().copied().flatten();
    all.find_map(|interface| interface.find(&name.interface, &name.name))
}

/// The functions that a component imports and no interface has, as messages name them.
pub fn missing(bindings: &Bindings, interfaces: &[&[&Interface]]) -> Vec<String> {
    let missing = bindings.imports.iter().filter(|import| !provides(import, interfaces));
    let name = |import: &component::Import| match &import.kind {
        ImportKind::Lowered { name, .. } => Some(shown(name)),
        _ => None,
    };
    missing.filter_map(name).collect()
}

/// Whether the interfaces have what is imported. Intrinsics of the canonical ABI are always there.
pub fn provides(import: &component::Import, interfaces: &[&[&Interface]]) -> bool {
    match &import.kind {
        ImportKind::Lowered { name, is_async, .. } => !is_async && find(interfaces, name).is_some(),
        _ => true,
    }
}

/// Defines the imports of a component's fused module. One that no interface has ends the call, with its name.
pub fn link<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    module: &Module,
    component: &Arc<Component>,
    interfaces: &[&[&Interface]],
) {
    for (import, (_, _, ty)) in component.bindings().imports.iter().zip(module.imports()) {
        let ExternType::Func(ty) = ty else { continue };
        let is_number = |ty: &ValType| !matches!(ty, ValType::V128 | ValType::Ref(_));
        if ty.results().len() > 1 || !ty.params().iter().chain(ty.results()).all(is_number) {
            continue; // no import of a component: linking says so
        }
        let names = (import.module.as_str(), import.field.as_str());
        match &import.kind {
            ImportKind::Lowered { name, ty: function, encoding, is_async, .. } => {
                match find(interfaces, name).filter(|_| !is_async) {
                    Some(found) => {
                        let lowered = lowered(component, *function, *encoding, name, *found);
                        link_lowered(linker, names, ty, lowered);
                    }
                    None => link_missing(linker, names, ty, shown(name)),
                }
            }
            ImportKind::ReallocNext => link_realloc_next(linker, names, ty, component.clone()),
            ImportKind::ResourceNew(resource) => {
                intrinsic(linker, names, ty, *resource, |resources, ty, rep| {
                    Ok(resources.new_guest(ty, rep)?.into())
                });
            }
            ImportKind::ResourceRep(resource) => {
                intrinsic(linker, names, ty, *resource, |resources, ty, handle| {
                    Ok(resources.rep(ty, handle)?.into())
                });
            }
            ImportKind::ResourceDrop(resource) => {
                intrinsic(linker, names, ty, *resource, |resources, ty, handle| {
                    // Read only by a stub that calls a destructor: -1 is none to call.
                    Ok(resources.drop_handle(ty, handle)?.map_or(u64::MAX, u64::from))
                });
            }
        }
    }
}

fn lowered(
    component: &Arc<Component>,
    ty: FunctionIndex,
    encoding: StringEncoding,
    name: &FunctionName,
    function: Function,
) -> Arc<Lowered> {
    let of = &component.bindings().functions[ty.index()];
    let params = match component.flat_params(of) {
        flat @ 0..=MAX_FLAT_PARAMS => flat as usize,
        _ => 1,
    };
    let stores_result = component.stores_result(of);
    let (component, name) = (component.clone(), name.clone());
    Arc::new(Lowered { component, ty, encoding, stores_result, params, name, function })
}

fn link_lowered<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    (module, field): (&str, &str),
    ty: FuncType,
    lowered: Arc<Lowered>,
) {
    linker.func_new_maybe_async(module, field, ty, move |mut caller, cells| {
        let args = match lowered.lift(&mut caller, cells) {
            Ok(args) => args,
            Err(violation) => return MaybeFuture::Ready(Err(lowered.named(violation).into())),
        };
        let result_at = cells.get(lowered.params).copied().unwrap_or_default() as u32;
        let (lowered, function) = (lowered.clone(), lowered.function);
        call_component(caller, function.name, move |guest| {
            let call: HostFn = function.call;
            let mut host = Host::new(guest, &lowered, result_at);
            let value = call(&mut host, &args).map_err(|stop| lowered.named_failure(stop))?;
            host.finish(value).map_err(|stop| stop.0)
        })
    });
}

fn link_missing<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    (module, field): (&str, &str),
    ty: FuncType,
    name: String,
) {
    linker.func_new_maybe_async(module, field, ty, move |_, _| {
        MaybeFuture::Ready(Err(Violation::Missing(name.clone()).into()))
    });
}

fn link_realloc_next<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    (module, field): (&str, &str),
    ty: FuncType,
    component: Arc<Component>,
) {
    linker.func_new_maybe_async(module, field, ty, move |mut caller, cells| {
        MaybeFuture::Ready(fill_next(&mut caller, &component, first(cells)).map_err(Into::into))
    });
}

/// Fills the block that a stub has allocated; the next request.
fn fill_next<T: HasWasi>(
    caller: &mut Caller<'_, T>,
    component: &Component,
    at: u32,
) -> Result<u64, Violation> {
    let memory = caller.memory().ok_or(Violation::OutOfBounds)?;
    let (memory, data) = caller.memory_and_data(memory);
    let resources = data.wasi().resources();
    let pending = resources.pending.take().ok_or(Violation::NothingPending)?;
    let left = pending.fill(component, memory, resources, at)?;
    let request = left.as_ref().map_or(0, |left| left.request(component));
    resources.pending = left;
    Ok(request)
}

/// Defines an intrinsic of resources: a handle or a representation to another number.
fn intrinsic<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    (module, field): (&str, &str),
    ty: FuncType,
    resource: ResourceIndex,
    function: fn(&mut Resources, ResourceIndex, u32) -> Result<u64, Violation>,
) {
    linker.func_new_maybe_async(module, field, ty, move |mut caller, cells| {
        let resources = caller.data_mut().wasi().resources();
        let result = match resources.pending {
            None => function(resources, resource, first(cells)),
            Some(_) => Err(Violation::MayNotLeave),
        };
        MaybeFuture::Ready(result.map_err(BoxError::from))
    });
}

fn first(cells: &[u64]) -> u32 {
    cells.first().copied().unwrap_or_default() as u32
}

/// Looks at the memory and the handles of a guest that may call.
fn with_guest<T: HasWasi, R>(
    caller: &mut Caller<'_, T>,
    look: impl FnOnce(&[u8], &Resources) -> Result<R, Violation>,
) -> Result<R, Violation> {
    let (memory, data): (&[u8], &mut T) = match caller.memory() {
        Some(memory) => {
            let (memory, data) = caller.memory_and_data(memory);
            (memory, data)
        }
        None => (&[], caller.data_mut()),
    };
    let resources = data.wasi().resources();
    match resources.pending {
        None => look(memory, resources),
        Some(_) => Err(Violation::MayNotLeave),
    }
}
