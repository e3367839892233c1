//! The module `spectest` that scripts import from.

use wfaas_abi::ValType;
use wfaas_vm::{
    Caller, Error, Extern, Global, GlobalType, Limits, Linker, Memory, MemoryType, SharedMemory,
    Store, Table, TableType, Val,
};

/// Defines it for a store.
///
/// # Errors
/// If the store has no room.
pub(crate) fn define(linker: &mut Linker<()>, store: &mut Store<()>) -> Result<(), Error> {
    linker.func_wrap("spectest", "print", |_: Caller<'_, ()>| {});
    linker.func_wrap("spectest", "print_i32", |_: Caller<'_, ()>, _: i32| {});
    linker.func_wrap("spectest", "print_i64", |_: Caller<'_, ()>, _: i64| {});
    linker.func_wrap("spectest", "print_f32", |_: Caller<'_, ()>, _: f32| {});
    linker.func_wrap("spectest", "print_f64", |_: Caller<'_, ()>, _: f64| {});
    linker.func_wrap("spectest", "print_i32_f32", |_: Caller<'_, ()>, _: i32, _: f32| {});
    linker.func_wrap("spectest", "print_f64_f64", |_: Caller<'_, ()>, _: f64, _: f64| {});
    let globals = [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(666.6f32.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6f64.to_bits())),
    ];
    for (name, content, value) in globals {
        let global = Global::new(store, GlobalType { content, mutable: false }, value)?;
        linker.define("spectest", name, Extern::Global(global));
    }
    let limits = Limits { minimum: 10, maximum: Some(20) };
    let ty = TableType { element: ValType::FUNCREF, limits, index64: false };
    let table = Table::new(store, ty, Val::FuncRef(None))?;
    linker.define("spectest", "table", Extern::Table(table));
    let table64 = Table::new(store, TableType { index64: true, ..ty }, Val::FuncRef(None))?;
    linker.define("spectest", "table64", Extern::Table(table64));
    let limits = Limits { minimum: 1, maximum: Some(2) };
    let ty = MemoryType { limits, index64: false, shared: false };
    let memory = Memory::new(store, ty)?;
    linker.define("spectest", "memory", Extern::Memory(memory));
    let shared = SharedMemory::new(linker.engine(), MemoryType { shared: true, ..ty })?;
    linker.define("spectest", "shared_memory", Extern::SharedMemory(shared));
    Ok(())
}
