//! The list: every function of preview1, its parameters, and what implements it.

use super::errno::{Errno, Failure};
use super::guest::{Guest, call, call_async};
use super::{
    MODULE, UNSTABLE, clocks, descriptors, directories, environment, io, open, paths, poll,
    process, readdir, sockets, stat, storage, unstable,
};
use crate::context::HasWasi;
use wfaas_vm::{Caller, FuncType, Linker, ValType};

/// A function of preview1, as listings show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WasiFunction {
    /// Name of the import.
    pub name: &'static str,
    /// Types of the parameters. All functions but `proc_exit` have one result, an `i32`.
    pub params: &'static [ValType],
    /// Whether it does something; if not, it answers `ENOSYS`.
    pub implemented: bool,
}

/// Reads a list: `name(parameter: type, ..)`, then ` = path` if there is an implementation, and
/// `, waits` if it may ask for a wait, or for work that may block.
macro_rules! wasi_functions {
    ($($rows:tt)*) => {
        wasi_list! { $($rows)* }
        wasi_linking! { $($rows)* }
    };
}

macro_rules! wasi_list {
    ($(
        $name:ident($($param:ident: $ty:ident),*) $(= $($handler:ident)::+ $(, $waits:ident)?)?;
    )*) => {
        /// Every function of preview1.
        pub const FUNCTIONS: &[WasiFunction] = &[$(WasiFunction {
            name: stringify!($name),
            params: &[$(val_type!($ty)),*],
            implemented: implemented!($($($handler)::+)?),
        },)*];
    };
}

macro_rules! wasi_linking {
    ($(
        $name:ident($($param:ident: $ty:ident),*) $(= $($handler:ident)::+ $(, $waits:ident)?)?;
    )*) => {
        /// Defines them in `linker` as functions of `module`.
        pub(super) fn add_to_linker<T: HasWasi>(linker: &mut Linker<T>, module: &str) {
            $(linker.func_wrap(
                module,
                stringify!($name),
                |caller: Caller<'_, T>, $($param: $ty),*| {
                    call(caller, stringify!($name), |guest| handle!(guest, ($($param),*), $($($handler)::+)?))
                },
            );)*
        }

        /// Defines those that may wait once more, so that they suspend their guest.
        pub(super) fn add_waiting_to_linker<T: HasWasi + Send>(
            linker: &mut Linker<T>,
            module: &str,
        ) {
            $(add_waiting!(
                linker, module, $name($($param: $ty),*), $($($handler)::+ $(, $waits)?)?
            );)*
        }
    };
}

/// Defines `proc_exit`, which alone has no result.
pub(super) fn add_exit_to_linker<T: HasWasi>(linker: &mut Linker<T>, module: &str) {
    let exit = |_: Caller<'_, T>, code: u32| process::proc_exit(code);
    linker.func_wrap(module, "proc_exit", exit);
}

macro_rules! add_waiting {
    (
        $linker:ident, $module:ident, $name:ident($($param:ident: $ty:ident),*),
        $($($handler:ident)::+)?
    ) => {};
    (
        $linker:ident, $module:ident, $name:ident($($param:ident: $ty:ident),*),
        $($handler:ident)::+, waits
    ) => {
        $linker.func_wrap_maybe_async(
            $module,
            stringify!($name),
            |caller: Caller<'_, T>, ($($param,)*): ($($ty,)*)| {
                call_async(caller, stringify!($name), move |guest: &mut Guest<'_>| {
                    $($handler)::+(guest, $($param.into()),*)
                })
            },
        );
    };
}

macro_rules! val_type {
    (u32) => {
        ValType::I32
    };
    (u64) => {
        ValType::I64
    };
}

macro_rules! implemented {
    () => {
        false
    };
    ($($handler:ident)::+) => {
        true
    };
}

macro_rules! handle {
    ($guest:ident, ($($param:ident),*),) => {{
        let _: (&mut Guest<'_>, $(handle!(@any $param)),*) = ($guest, $($param),*);
        Err(Failure::Errno(Errno::Nosys))
    }};
    (@any $param:ident) => {
        _
    };
    ($guest:ident, ($($param:ident),*), $($handler:ident)::+) => {
        $($handler)::+($guest, $($param.into()),*)
    };
}

pub(super) use {add_waiting, handle, wasi_linking};

/// What there is for an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// A function that does what it should.
    Works,
    /// A function that does nothing and answers `ENOSYS`.
    Enosys,
    /// Nothing: a module with this import cannot be linked.
    Missing,
}

/// What [`add_to_linker`](crate::add_to_linker) has for an import of a function.
pub fn support(module: &str, name: &str, ty: &FuncType) -> Support {
    let is_there = module == MODULE || module == UNSTABLE && name != unstable::NOT_YET;
    if !is_there {
        return Support::Missing;
    }
    let is =
        |params: &[ValType], results: &[ValType]| ty.params() == params && ty.results() == results;
    if name == "proc_exit" && is(&[ValType::I32], &[]) {
        return Support::Works;
    }
    match FUNCTIONS.iter().find(|function| function.name == name) {
        Some(function) if !is(function.params, &[ValType::I32]) => Support::Missing,
        Some(WasiFunction { implemented: true, .. }) => Support::Works,
        Some(_) => Support::Enosys,
        None => Support::Missing,
    }
}

/// A bit of a word for each.
const _: () = assert!(FUNCTIONS.len() <= u64::BITS as usize);

// `proc_exit` is not in the list: it alone has no result. `proc_raise` is not in the specification any
// more, and no libc calls it.
wasi_functions! {
    args_get(argv: u32, buf: u32) = environment::args_get;
    args_sizes_get(count: u32, bytes: u32) = environment::args_sizes_get;
    environ_get(environ: u32, buf: u32) = environment::environ_get;
    environ_sizes_get(count: u32, bytes: u32) = environment::environ_sizes_get;
    clock_res_get(clock: u32, resolution: u32) = clocks::clock_res_get;
    clock_time_get(clock: u32, precision: u64, time: u32) = clocks::clock_time_get;
    fd_advise(fd: u32, offset: u64, len: u64, advice: u32) = storage::fd_advise, waits;
    fd_allocate(fd: u32, offset: u64, len: u64) = storage::fd_allocate, waits;
    fd_close(fd: u32) = descriptors::fd_close, waits;
    fd_datasync(fd: u32) = storage::fd_datasync, waits;
    fd_fdstat_get(fd: u32, stat: u32) = descriptors::fd_fdstat_get;
    fd_fdstat_set_flags(fd: u32, flags: u32) = descriptors::fd_fdstat_set_flags;
    fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64) = descriptors::fd_fdstat_set_rights;
    fd_filestat_get(fd: u32, stat: u32) = stat::fd_filestat_get, waits;
    fd_filestat_set_size(fd: u32, size: u64) = storage::fd_filestat_set_size, waits;
    fd_filestat_set_times(fd: u32, access: u64, modification: u64, flags: u32)
        = stat::fd_filestat_set_times, waits;
    fd_pread(fd: u32, iovs: u32, iovs_len: u32, offset: u64, read: u32) = io::fd_pread, waits;
    fd_prestat_get(fd: u32, prestat: u32) = directories::fd_prestat_get;
    fd_prestat_dir_name(fd: u32, path: u32, path_len: u32) = directories::fd_prestat_dir_name;
    fd_pwrite(fd: u32, iovs: u32, iovs_len: u32, offset: u64, written: u32)
        = io::fd_pwrite, waits;
    fd_read(fd: u32, iovs: u32, iovs_len: u32, read: u32) = io::fd_read, waits;
    fd_readdir(fd: u32, buf: u32, buf_len: u32, cookie: u64, used: u32)
        = readdir::fd_readdir, waits;
    fd_renumber(from: u32, to: u32) = descriptors::fd_renumber, waits;
    fd_seek(fd: u32, offset: u64, whence: u32, position: u32) = descriptors::fd_seek, waits;
    fd_sync(fd: u32) = storage::fd_sync, waits;
    fd_tell(fd: u32, position: u32) = descriptors::fd_tell;
    fd_write(fd: u32, iovs: u32, iovs_len: u32, written: u32) = io::fd_write, waits;
    path_create_directory(fd: u32, path: u32, path_len: u32)
        = paths::path_create_directory, waits;
    path_filestat_get(fd: u32, flags: u32, path: u32, path_len: u32, stat: u32)
        = stat::path_filestat_get, waits;
    path_filestat_set_times(
        fd: u32, flags: u32, path: u32, path_len: u32, access: u64, modification: u64,
        set_flags: u32
    ) = stat::path_filestat_set_times, waits;
    path_link(
        old_fd: u32, old_flags: u32, old_path: u32, old_len: u32, new_fd: u32, new_path: u32,
        new_len: u32
    ) = paths::path_link, waits;
    path_open(
        fd: u32, dir_flags: u32, path: u32, path_len: u32, open_flags: u32, base: u64,
        inheriting: u64, fd_flags: u32, opened: u32
    ) = open::path_open, waits;
    path_readlink(fd: u32, path: u32, path_len: u32, buf: u32, buf_len: u32, used: u32)
        = paths::path_readlink, waits;
    path_remove_directory(fd: u32, path: u32, path_len: u32)
        = paths::path_remove_directory, waits;
    path_rename(fd: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32)
        = paths::path_rename, waits;
    path_symlink(old: u32, old_len: u32, fd: u32, new: u32, new_len: u32)
        = paths::path_symlink, waits;
    path_unlink_file(fd: u32, path: u32, path_len: u32) = paths::path_unlink_file, waits;
    poll_oneoff(subscriptions: u32, events: u32, count: u32, stored: u32) = poll::poll_oneoff, waits;
    proc_raise(signal: u32);
    sched_yield() = process::sched_yield, waits;
    random_get(buf: u32, len: u32) = process::random_get, waits;
    sock_accept(fd: u32, flags: u32, connection: u32) = sockets::sock_accept, waits;
    sock_recv(fd: u32, iovs: u32, iovs_len: u32, flags: u32, received: u32, out_flags: u32)
        = sockets::sock_recv, waits;
    sock_send(fd: u32, iovs: u32, iovs_len: u32, flags: u32, sent: u32)
        = sockets::sock_send, waits;
    sock_shutdown(fd: u32, how: u32) = sockets::sock_shutdown;
}
