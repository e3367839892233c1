//! Linking: a host function for each import of a fused module.

use super::direct::{self, Direct};
use super::host::{Function, Host, HostFn, Interface};
use super::pieces::Pieces;
use crate::canonical::{
    Component, Lift, MAX_FLAT_ASYNC_PARAMS, MAX_FLAT_PARAMS, Resources, Value, Violation,
};
use crate::context::HasWasi;
use crate::preview1::{Failure, call_component, memory};
use crate::preview3::{self, Site};
use std::sync::Arc;
use wfaas_vm::component::{
    self, Bindings, Builtin, FunctionIndex, FunctionName, ImportKind, ResourceIndex, StringEncoding,
};
use wfaas_vm::{BoxError, Caller, ExternType, FuncType, Linker, MaybeFuture, Module, ValType};

/// A lowered import, and its implementation.
pub(crate) struct Lowered {
    pub(crate) component: Arc<Component>,
    ty: FunctionIndex,
    pub(crate) encoding: StringEncoding,
    pub(super) stores_result: bool,
    /// Whether it is lowered with `async`.
    pub(super) is_async: bool,
    /// Core parameters before the address of the result.
    pub(crate) params: usize,
    /// Whether these are the parameters, and not the address of a block.
    pub(super) are_flat: bool,
    /// The number of the memory that its values are in.
    memory: u32,
    name: FunctionName,
    function: Function,
    /// Adapts its results.
    pub(super) adapter: Option<preview3::Adapter>,
    /// Its direct implementation, if it has one for the declared type.
    direct: Option<direct::Prepared>,
}

impl Lowered {
    pub(crate) fn function(&self) -> &component::Function {
        &self.component.bindings().functions[self.ty.index()]
    }

    /// Puts the function's name into an error that has none.
    pub(crate) fn named(&self, violation: Violation) -> Violation {
        match violation {
            Violation::Type { .. } => Violation::Type { function: shown(&self.name) },
            other => other,
        }
    }

    pub(crate) fn named_failure(&self, failure: Failure) -> Failure {
        match failure {
            Failure::End(error) => match error.downcast::<Violation>() {
                Ok(violation) => Failure::End(self.named(*violation).into()),
                Err(error) => Failure::End(error),
            },
            other => other,
        }
    }

    /// Calls the implementation, and lowers its result.
    pub(crate) fn call(&self, host: &mut Host<'_, '_>, args: &[Value]) -> Result<(), Failure> {
        let call: HostFn = self.function.call;
        let value = call(host, args).map_err(|stop| self.named_failure(stop.0))?;
        host.finish(value).map_err(|stop| stop.0)
    }

    fn find_direct(&mut self, all: &[&[Direct]]) {
        if self.are_flat && !self.is_async {
            let (component, encoding) = (&self.component, self.encoding);
            self.direct = direct::prepare(all, &self.name, component, self.function(), encoding);
        }
    }

    /// Calls the direct implementation; `None` if there is none, or it declines.
    #[inline(always)] // it is all that a small request's calls need
    fn call_directly<T: HasWasi>(
        &self,
        caller: &mut Caller<'_, T>,
        cells: &[u64],
    ) -> Result<Option<u64>, BoxError> {
        let Some(direct) = &self.direct else { return Ok(None) };
        let (memory, data) = match direct.needs_memory {
            true => caller.memory_at_and_data(self.memory),
            false => (&mut [][..], caller.data_mut()),
        };
        direct.call(memory, data.wasi(), cells)
    }

    pub(crate) fn lift<T: HasWasi>(
        &self,
        caller: &mut Caller<'_, T>,
        cells: &[u64],
    ) -> Result<Vec<Value>, Violation> {
        with_guest(caller, self.memory, |memory, resources| {
            Lift::new(&self.component, memory, resources, self.encoding).params(
                self.function(),
                self.are_flat,
                cells,
            )
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
        ImportKind::Lowered { name, .. } => find(interfaces, name).is_some(),
        _ => true,
    }
}

/// Defines the imports of a component's fused module. One that no interface has ends the call, with its name.
/// Functions that are `direct`, too, are tried so first.
pub fn link<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    module: &Module,
    component: &Arc<Component>,
    interfaces: &[&[&Interface]],
    direct: &[&[Direct]],
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
                match find(interfaces, name) {
                    Some(found) => {
                        let mut lowered =
                            lowered(component, *function, *encoding, name, *found, *is_async);
                        lowered.memory = import.memory;
                        lowered.find_direct(direct);
                        let lowered = Arc::new(lowered);
                        match is_async {
                            false => link_lowered(linker, names, ty, lowered),
                            true => preview3::link_async(linker, names, ty, lowered),
                        }
                    }
                    None => link_missing(linker, names, ty, shown(name)),
                }
            }
            ImportKind::Builtin(Builtin::TaskReturn { ty: function, encoding }) => {
                let name = FunctionName { name: "task.return".to_owned(), ..Default::default() };
                let function = (*function, preview3::TASK_RETURN);
                let lowered = lowered(component, function.0, *encoding, &name, function.1, false);
                link_lowered(linker, names, ty, Arc::new(lowered));
            }
            ImportKind::Builtin(builtin) => {
                preview3::link(linker, names, ty, component.clone(), *builtin);
            }
            ImportKind::ReallocNext => {
                link_realloc_next(linker, names, ty, component.clone(), import.memory);
            }
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
    is_async: bool,
) -> Lowered {
    let of = &component.bindings().functions[ty.index()];
    let max_flat = if is_async { MAX_FLAT_ASYNC_PARAMS } else { MAX_FLAT_PARAMS };
    let flat = component.flat_params(of);
    let are_flat = flat <= max_flat;
    let params = if are_flat { flat as usize } else { 1 };
    let stores_result = component.stores_result(of);
    let (component, name, adapter) = (component.clone(), name.clone(), preview3::adapter(name));
    let (direct, memory) = (None, 0);
    Lowered {
        component,
        ty,
        encoding,
        stores_result,
        is_async,
        params,
        are_flat,
        memory,
        name,
        function,
        adapter,
        direct,
    }
}

fn link_lowered<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    (module, field): (&str, &str),
    ty: FuncType,
    lowered: Arc<Lowered>,
) {
    let by_values = lowered.clone();
    linker.func_new_direct(
        module,
        field,
        ty,
        move |mut caller, cells| lowered.call_directly(&mut caller, cells),
        move |caller, cells| call_by_values(caller, &by_values, cells),
    );
}

/// Calls a function by the values of its parameters.
fn call_by_values<'a, T: HasWasi + Send>(
    mut caller: Caller<'a, T>,
    lowered: &Arc<Lowered>,
    cells: &[u64],
) -> MaybeFuture<'a, Result<u64, BoxError>> {
    let result_at = cells.get(lowered.params).copied().unwrap_or_default() as u32;
    let args = match lowered.lift(&mut caller, cells) {
        Ok(args) => args,
        Err(Violation::TooLarge) => return call_in_pieces(caller, lowered, cells, result_at),
        Err(violation) => return MaybeFuture::Ready(Err(lowered.named(violation).into())),
    };
    call_component(
        caller,
        (lowered.function.name, lowered.memory),
        Some(&lowered.component),
        |guest| lowered.call(&mut Host::new(guest, lowered, result_at), &args),
        || {
            let (lowered, args) = (lowered.clone(), args.clone());
            move |guest| lowered.call(&mut Host::new(guest, &lowered, result_at), &args)
        },
    )
}

/// Calls a function whose values are too many to lift them at once. Whether they are too many for any call is seen then.
#[cold]
fn call_in_pieces<'a, T: HasWasi + Send>(
    caller: Caller<'a, T>,
    lowered: &Arc<Lowered>,
    cells: &[u64],
    result_at: u32,
) -> MaybeFuture<'a, Result<u64, BoxError>> {
    let pieces = Pieces::new(lowered, cells);
    call_component(
        caller,
        (lowered.function.name, lowered.memory),
        Some(&lowered.component),
        |guest| pieces.call(guest, result_at),
        || {
            let pieces = pieces.clone();
            move |guest| pieces.call(guest, result_at)
        },
    )
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
    memory: u32,
) {
    linker.func_new_maybe_async(module, field, ty, move |mut caller, cells| {
        let filled = fill_next(&mut caller, &component, memory, first(cells));
        MaybeFuture::Ready(filled.map_err(Into::into))
    });
}

/// Fills the block that a stub has allocated; the next request.
fn fill_next<T: HasWasi>(
    caller: &mut Caller<'_, T>,
    component: &Component,
    number: u32,
    at: u32,
) -> Result<u64, Violation> {
    let memory = memory(caller, number).ok_or(Violation::OutOfBounds)?;
    let (memory, data) = caller.memory_and_data(memory);
    Site { component, memory, data }.fill_next(at)
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
    memory: u32,
    look: impl FnOnce(&[u8], &Resources) -> Result<R, Violation>,
) -> Result<R, Violation> {
    let (memory, data) = caller.memory_at_and_data(memory);
    let resources = data.wasi().resources();
    match resources.pending {
        None => look(memory, resources),
        Some(_) => Err(Violation::MayNotLeave),
    }
}
