//! The kernel's functions, as plug-ins import them.
//!
//! A plug-in that breaks a rule is ended, as other hosts of such plug-ins do.

use super::arena::{Allocated, PIECE};
use super::kernel::{Kernel, MAX_NAME};
use super::{KERNEL, http};
use crate::invoke::GuestFault;
use crate::state::State;
use crate::waiting::turns;
use wfaas_vm::ValType::{self, I32, I64};
use wfaas_vm::{BoxError, Caller, FuncType, Linker, MaybeFuture, untrusted};
use wfaas_wasi::HasWasi;

/// Names and types of all functions.
const FUNCTIONS: &[(&str, &[ValType], &[ValType])] = &[
    ("alloc", &[I64], &[I64]),
    ("free", &[I64], &[]),
    ("length", &[I64], &[I64]),
    ("length_unsafe", &[I64], &[I64]),
    ("load_u8", &[I64], &[I32]),
    ("load_u64", &[I64], &[I64]),
    ("store_u8", &[I64, I32], &[]),
    ("store_u64", &[I64, I64], &[]),
    ("memory_bytes", &[], &[I64]),
    ("reset", &[], &[]),
    ("input_set", &[I64, I64], &[]),
    ("input_length", &[], &[I64]),
    ("input_offset", &[], &[I64]),
    ("input_load_u8", &[I64], &[I32]),
    ("input_load_u64", &[I64], &[I64]),
    ("output_set", &[I64, I64], &[]),
    ("output_length", &[], &[I64]),
    ("output_offset", &[], &[I64]),
    ("error_set", &[I64], &[]),
    ("error_get", &[], &[I64]),
    ("config_get", &[I64], &[I64]),
    ("var_get", &[I64], &[I64]),
    ("var_set", &[I64, I64], &[]),
    ("http_request", &[I64, I64], &[I64]),
    ("http_status_code", &[], &[I32]),
    ("http_headers", &[], &[I64]),
    ("log_trace", &[I64], &[]),
    ("log_debug", &[I64], &[]),
    ("log_info", &[I64], &[]),
    ("log_warn", &[I64], &[]),
    ("log_error", &[I64], &[]),
    ("get_log_level", &[], &[I32]),
];

/// The least level of messages that go to the log, in the kernel's numbers: 0 is `trace`, 2 `info`.
const LOG_LEVEL: i32 = 2;

/// Whether there is a function of this name and type.
pub(super) fn provides(name: &str, ty: &FuncType) -> bool {
    let found = FUNCTIONS.iter().find(|(known, ..)| *known == name);
    found.is_some_and(|(_, params, results)| ty.params() == *params && ty.results() == *results)
}

/// Defines all functions.
pub(super) fn link(linker: &mut Linker<State>) {
    link_memory(linker);
    link_input_and_output(linker);
    link_settings(linker);
    http::link(linker);
    link_log(linker);
}

pub(super) type Host<'a> = Caller<'a, State>;

/// The state of the call.
pub(super) fn kernel<'a>(caller: &'a mut Host<'_>) -> &'a mut Kernel {
    caller.data_mut().local()
}

/// Ends the guest.
pub(super) fn fault(reason: impl std::fmt::Display) -> BoxError {
    GuestFault(untrusted::text(format_args!("Extism: {reason}")).to_string()).into()
}

fn link_memory(linker: &mut Linker<State>) {
    linker
        .func_wrap_maybe_async(KERNEL, "alloc", |caller: Host<'_>, len: u64| alloc(caller, len))
        .func_wrap(KERNEL, "free", |mut caller: Host<'_>, address: u64| {
            kernel(&mut caller).arena.free(address);
        })
        .func_wrap(KERNEL, "length", |mut caller: Host<'_>, address: u64| {
            kernel(&mut caller).arena.len(address)
        })
        .func_wrap(KERNEL, "length_unsafe", |mut caller: Host<'_>, address: u64| {
            kernel(&mut caller).arena.len(address)
        })
        .func_wrap(KERNEL, "load_u8", |mut caller: Host<'_>, address: u64| {
            let [byte] = kernel(&mut caller).arena.load(address);
            u32::from(byte)
        })
        .func_wrap(KERNEL, "load_u64", |mut caller: Host<'_>, address: u64| {
            u64::from_le_bytes(kernel(&mut caller).arena.load(address))
        })
        .func_wrap(KERNEL, "store_u8", |mut caller: Host<'_>, address: u64, byte: u32| {
            kernel(&mut caller).arena.store(address, [byte as u8]);
        })
        .func_wrap(KERNEL, "store_u64", |mut caller: Host<'_>, address: u64, word: u64| {
            kernel(&mut caller).arena.store(address, word.to_le_bytes());
        })
        .func_wrap(KERNEL, "memory_bytes", |mut caller: Host<'_>| kernel(&mut caller).arena.size())
        .func_wrap(KERNEL, "reset", |mut caller: Host<'_>| kernel(&mut caller).reset());
}

/// The address of a new block, 0 for none. Where many bytes of it have to be made zero, others have
/// their turns meanwhile.
fn alloc(mut caller: Host<'_>, len: u64) -> MaybeFuture<'_, u64> {
    let arena = &mut kernel(&mut caller).arena;
    let Some(Allocated { address, mut stale }) = arena.begin_alloc(len) else {
        return MaybeFuture::Ready(0);
    };
    if stale.len() <= PIECE || !caller.can_wait() {
        kernel(&mut caller).arena.clear(stale);
        return MaybeFuture::Ready(address);
    }
    MaybeFuture::Future(Box::new(async move {
        while !stale.is_empty() {
            let end = stale.end.min(stale.start + PIECE);
            kernel(&mut caller).arena.clear(stale.start..end);
            stale.start = end;
            turns().await;
        }
        address
    }))
}

fn link_input_and_output(linker: &mut Linker<State>) {
    linker
        .func_wrap(KERNEL, "input_set", |mut caller: Host<'_>, address: u64, len: u64| {
            let kernel = kernel(&mut caller);
            kernel.arena.range(address, len).ok_or_else(|| fault("the input is outside"))?;
            kernel.input = (address, len);
            Ok::<(), BoxError>(())
        })
        .func_wrap(KERNEL, "input_length", |mut caller: Host<'_>| kernel(&mut caller).input.1)
        .func_wrap(KERNEL, "input_offset", |mut caller: Host<'_>| kernel(&mut caller).input.0)
        .func_wrap(KERNEL, "input_load_u8", |mut caller: Host<'_>, index: u64| {
            let [byte] = kernel(&mut caller).load_input(index);
            u32::from(byte)
        })
        .func_wrap(KERNEL, "input_load_u64", |mut caller: Host<'_>, index: u64| {
            u64::from_le_bytes(kernel(&mut caller).load_input(index))
        })
        .func_wrap(KERNEL, "output_set", |mut caller: Host<'_>, address: u64, len: u64| {
            let kernel = kernel(&mut caller);
            kernel.arena.range(address, len).ok_or_else(|| fault("the output is outside"))?;
            kernel.output = (address, len);
            Ok::<(), BoxError>(())
        })
        .func_wrap(KERNEL, "output_length", |mut caller: Host<'_>| kernel(&mut caller).output.1)
        .func_wrap(KERNEL, "output_offset", |mut caller: Host<'_>| kernel(&mut caller).output.0)
        .func_wrap(KERNEL, "error_set", |mut caller: Host<'_>, address: u64| {
            kernel(&mut caller).error = address;
        })
        .func_wrap(KERNEL, "error_get", |mut caller: Host<'_>| kernel(&mut caller).error);
}

fn link_settings(linker: &mut Linker<State>) {
    linker
        .func_wrap(KERNEL, "config_get", |mut caller: Host<'_>, name: u64| {
            let kernel = kernel(&mut caller);
            let name = kernel.text(name, MAX_NAME).map_err(fault)?;
            let value = kernel.terms.config.get(name).cloned();
            kernel.answer(value.as_deref().map(str::as_bytes)).map_err(fault)
        })
        .func_wrap(KERNEL, "var_get", |mut caller: Host<'_>, name: u64| {
            let kernel = kernel(&mut caller);
            let name = kernel.text(name, MAX_NAME).map_err(fault)?;
            let value = kernel.variable(name).map(<[u8]>::to_vec);
            kernel.answer(value.as_deref()).map_err(fault)
        })
        .func_wrap(KERNEL, "var_set", |mut caller: Host<'_>, name: u64, value: u64| {
            kernel(&mut caller).set_variable_to(name, value).map_err(fault)
        });
}

fn link_log(linker: &mut Linker<State>) {
    for (name, level, number) in [
        ("log_trace", "trace", 0),
        ("log_debug", "debug", 1),
        ("log_info", "info", 2),
        ("log_warn", "warn", 3),
        ("log_error", "error", 4),
    ] {
        linker.func_wrap(KERNEL, name, move |mut caller: Host<'_>, message: u64| {
            if number < LOG_LEVEL {
                return Ok(());
            }
            if let Some(event) = kernel(&mut caller).log(level, message).map_err(fault)? {
                caller.data().log(event);
            }
            Ok::<(), BoxError>(())
        });
    }
    linker.func_wrap(KERNEL, "get_log_level", |_: Host<'_>| LOG_LEVEL);
}
