//! As much of WASI preview 1 as an interpreter without files needs, for the peer: arguments, clocks, random
//! numbers, standard streams.

use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::{Caller, Engine, Extern, Linker, Module, Val};

const MODULE: &str = "wasi_snapshot_preview1";
const SUCCESS: i32 = 0;
const EBADF: i32 = 8;
const EFAULT: i32 = 21;
const ENOSYS: i32 = 52;
const ESPIPE: i32 = 70;

/// The data of a guest.
pub(super) struct Guest {
    stdin: Vec<u8>,
    read: usize,
    pub(super) stdout: Vec<u8>,
    args: Vec<String>,
}

/// The error by which a guest exits.
#[derive(Debug)]
pub(super) struct Exit;

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the guest exited")
    }
}

impl std::error::Error for Exit {}

impl Guest {
    pub(super) fn new(input: &[u8], args: Vec<String>) -> Guest {
        let args = std::iter::once("python".to_owned()).chain(args).collect();
        Guest { stdin: input.to_vec(), read: 0, stdout: Vec::new(), args }
    }
}

type Context<'a> = Caller<'a, Guest>;

/// The functions that the module imports; those that are not here answer ENOSYS.
pub(super) fn linker(engine: &Engine, module: &Module) -> anyhow::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(MODULE, "args_sizes_get", |mut it: Context<'_>, count: i32, bytes: i32| {
        let args = &it.data().args;
        let (args, len) = (args.len(), args.iter().map(|arg| arg.len() + 1).sum::<usize>());
        number(&mut it, count, args as u32) | number(&mut it, bytes, len as u32)
    })?;
    linker.func_wrap(MODULE, "args_get", args_get)?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut it: Context<'_>, count: i32, len: i32| {
            number(&mut it, count, 0) | number(&mut it, len, 0)
        },
    )?;
    linker.func_wrap(MODULE, "environ_get", |_: i32, _: i32| SUCCESS)?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut it: Context<'_>, _: i32, _: i64, at: i32| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            write(&mut it, at, &(now.as_nanos() as u64).to_le_bytes())
        },
    )?;
    linker.func_wrap(MODULE, "clock_res_get", |mut it: Context<'_>, _: i32, at: i32| {
        write(&mut it, at, &1000u64.to_le_bytes())
    })?;
    linker.func_wrap(MODULE, "random_get", |mut it: Context<'_>, at: i32, len: i32| {
        // As good as any for a peer: nothing here asks for more.
        let bytes: Vec<u8> = (0..len as u32).map(|index| (index * 167) as u8).collect();
        write(&mut it, at, &bytes)
    })?;
    linker.func_wrap(MODULE, "fd_prestat_get", |_: i32, _: i32| EBADF)?;
    linker.func_wrap(MODULE, "fd_seek", |_: i32, _: i64, _: i32, _: i32| ESPIPE)?;
    linker.func_wrap(MODULE, "fd_close", |_: i32| SUCCESS)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |mut it: Context<'_>, fd: i32, at: i32| {
        if !(0..3).contains(&fd) {
            return EBADF;
        }
        // A file of unknown type with all rights.
        let mut stat = [0; 24];
        stat[8..].fill(0xff);
        write(&mut it, at, &stat)
    })?;
    linker.func_wrap(MODULE, "fd_filestat_get", |mut it: Context<'_>, fd: i32, at: i32| {
        if (0..3).contains(&fd) { write(&mut it, at, &[0; 64]) } else { EBADF }
    })?;
    linker.func_wrap(MODULE, "fd_read", fd_read)?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "proc_exit", |_: i32| -> wasmtime::Result<()> { Err(Exit.into()) })?;
    for import in module.imports() {
        let Some(ty) = import.ty().func().cloned() else { continue };
        // Those above are there already.
        let _ = linker.func_new(import.module(), import.name(), ty, |_, _, results| {
            results.iter_mut().for_each(|result| *result = Val::I32(ENOSYS));
            Ok(())
        });
    }
    Ok(linker)
}

fn args_get(mut it: Context<'_>, list: i32, bytes: i32) -> i32 {
    let (mut list, mut at) = (list, bytes);
    for arg in it.data().args.clone() {
        let terminated = [arg.as_bytes(), b"\0"].concat();
        if number(&mut it, list, at as u32) | write(&mut it, at, &terminated) != SUCCESS {
            return EFAULT;
        }
        (list, at) = (list + 4, at + terminated.len() as i32);
    }
    SUCCESS
}

fn fd_read(mut it: Context<'_>, fd: i32, list: i32, count: i32, done: i32) -> i32 {
    if fd != 0 {
        return EBADF;
    }
    let mut total = 0;
    for (at, len) in vectors(&mut it, list, count) {
        let guest = it.data();
        let rest = &guest.stdin[guest.read..];
        let piece = rest[..rest.len().min(len as usize)].to_vec();
        if write(&mut it, at as i32, &piece) != SUCCESS {
            return EFAULT;
        }
        it.data_mut().read += piece.len();
        total += piece.len() as u32;
    }
    number(&mut it, done, total)
}

fn fd_write(mut it: Context<'_>, fd: i32, list: i32, count: i32, done: i32) -> i32 {
    if !(1..3).contains(&fd) {
        return EBADF;
    }
    let mut total = 0;
    for (at, len) in vectors(&mut it, list, count) {
        let Some(bytes) = bytes(&mut it, at, len) else { return EFAULT };
        if fd == 1 {
            it.data_mut().stdout.extend_from_slice(&bytes);
        }
        total += len;
    }
    number(&mut it, done, total)
}

/// The vectors of a list (`iovec`s), each as address and length of its bytes.
fn vectors(it: &mut Context<'_>, list: i32, count: i32) -> Vec<(u32, u32)> {
    let words = bytes(it, list as u32, (count as u32).saturating_mul(8)).unwrap_or_default();
    let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    let pairs = words.as_chunks::<4>().0.as_chunks::<2>().0.iter();
    pairs.map(|[at, len]| (word(at), word(len))).collect()
}

fn bytes(it: &mut Context<'_>, at: u32, len: u32) -> Option<Vec<u8>> {
    let memory = it.get_export("memory").and_then(Extern::into_memory)?;
    let (at, len) = (at as usize, len as usize);
    Some(memory.data(&*it).get(at..at.checked_add(len)?)?.to_vec())
}

fn write(it: &mut Context<'_>, at: i32, bytes: &[u8]) -> i32 {
    let memory = it.get_export("memory").and_then(Extern::into_memory);
    let written = memory.map(|memory| memory.write(&mut *it, at as u32 as usize, bytes).is_ok());
    if written == Some(true) { SUCCESS } else { EFAULT }
}

fn number(it: &mut Context<'_>, at: i32, number: u32) -> i32 {
    write(it, at, &number.to_le_bytes())
}
