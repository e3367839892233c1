//! wasmtime as an engine for programs, with as much of WASI as they use.

use super::engine::{Compiled, Outcome, Runner, parse};
use anyhow::Context;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::{Caller, Engine, Extern, Linker, Memory, Module, Store};

/// State of a program, for the functions of WASI.
struct Guest {
    /// Arguments, each with a zero at its end.
    arguments: Vec<Vec<u8>>,
    output: Vec<u8>,
}

struct Wasmtime {
    engine: Engine,
    linker: Linker<Guest>,
    module: Module,
}

/// Compiles a program; leaves the machine code beside `wasm`.
pub(super) fn compile(wasm: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(wasm).with_context(|| format!("reading {}", wasm.display()))?;
    let code = Engine::default().precompile_module(&bytes)?;
    let file = wasm.with_extension("cwasm");
    std::fs::write(&file, &code).with_context(|| format!("writing {}", file.display()))?;
    Ok(code)
}

/// Loads a program.
pub(super) fn load(code: Compiled<'_>) -> anyhow::Result<Box<dyn Runner>> {
    let engine = Engine::default();
    // SAFETY: the bytes are what `compile` has returned, or has written.
    let module = unsafe { Module::deserialize(&engine, code.0)? };
    let mut linker = Linker::new(&engine);
    add_wasi(&mut linker)?;
    linker.define_unknown_imports_as_traps(&module)?;
    Ok(Box::new(Wasmtime { engine, linker, module }))
}

impl Runner for Wasmtime {
    fn run(&mut self, calls: u32) -> anyhow::Result<Outcome> {
        let arguments = vec![b"program\0".to_vec(), format!("{calls}\0").into_bytes()];
        let mut store = Store::new(&self.engine, Guest { arguments, output: Vec::new() });
        let instance = self.linker.instantiate(&mut store, &self.module)?;
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())?;
        parse(&String::from_utf8_lossy(&store.data().output))
    }
}

/// A call by the program.
type Call<'c> = Caller<'c, Guest>;

const OK: u32 = 0;
const BADF: u32 = 8;

fn memory(call: &mut Call<'_>) -> wasmtime::Result<Memory> {
    match call.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(wasmtime::Error::msg("the program exports no memory")),
    }
}

fn write(call: &mut Call<'_>, at: u32, bytes: &[u8]) -> wasmtime::Result<()> {
    memory(call)?.write(call, at as usize, bytes).map_err(Into::into)
}

fn word(call: &mut Call<'_>, at: u32) -> wasmtime::Result<u32> {
    let mut bytes = [0; 4];
    memory(call)?.read(call, at as usize, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// The functions that programs call. All others trap.
fn add_wasi(linker: &mut Linker<Guest>) -> anyhow::Result<()> {
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(WASI, "args_sizes_get", |mut call: Call<'_>, count: u32, bytes: u32| {
        let arguments = &call.data().arguments;
        let (number, size) =
            (arguments.len() as u32, arguments.iter().map(Vec::len).sum::<usize>());
        write(&mut call, count, &number.to_le_bytes())?;
        write(&mut call, bytes, &(size as u32).to_le_bytes()).map(|()| OK)
    })?;
    linker.func_wrap(WASI, "args_get", |mut call: Call<'_>, pointers: u32, mut at: u32| {
        for (index, argument) in (0..).zip(call.data().arguments.clone()) {
            write(&mut call, pointers + 4 * index, &at.to_le_bytes())?;
            write(&mut call, at, &argument)?;
            at += argument.len() as u32;
        }
        wasmtime::Result::Ok(OK)
    })?;
    linker.func_wrap(WASI, "environ_sizes_get", |mut call: Call<'_>, count: u32, bytes: u32| {
        write(&mut call, count, &[0; 4])?;
        write(&mut call, bytes, &[0; 4]).map(|()| OK)
    })?;
    linker.func_wrap(WASI, "environ_get", |_: u32, _: u32| OK)?;
    linker.func_wrap(WASI, "clock_time_get", |mut call: Call<'_>, _: u32, _: u64, time: u32| {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        write(&mut call, time, &(nanos as u64).to_le_bytes()).map(|()| OK)
    })?;
    linker.func_wrap(WASI, "random_get", |mut call: Call<'_>, at: u32, count: u32| {
        write(&mut call, at, &vec![4; count as usize]).map(|()| OK)
    })?;
    linker.func_wrap(WASI, "fd_prestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(WASI, "fd_fdstat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(WASI, "fd_write", fd_write)?;
    Ok(())
}

/// Writes pieces of memory to the output.
fn fd_write(
    mut call: Call<'_>,
    _fd: u32,
    pieces: u32,
    count: u32,
    written: u32,
) -> wasmtime::Result<u32> {
    let mut total = 0;
    for piece in 0..count {
        let at = word(&mut call, pieces + 8 * piece)?;
        let mut bytes = vec![0; word(&mut call, pieces + 8 * piece + 4)? as usize];
        memory(&mut call)?.read(&mut call, at as usize, &mut bytes)?;
        total += bytes.len() as u32;
        call.data_mut().output.extend(bytes);
    }
    write(&mut call, written, &total.to_le_bytes()).map(|()| OK)
}
