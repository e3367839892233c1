//! Hostcalls: requests of compiled code to the VM, by the list in `wfaas_abi::hostcall`.
//!
//! Each is a small function that returns a `Result`; a macro makes the `extern "C"` entries from
//! the list, so that neither a missing one nor one with other types compiles. The entries leave
//! the guest if the result is an error, or if the call is due.

use crate::arch::{ContinuedHostcall, PreemptLanding, WaitHostcall, WayBack, wait_hostcall};
use crate::call::preempt;
use crate::call::task;
use crate::runtime::atomic::Expected;
use crate::runtime::bulk_rest::{Bulk, Unfinished};
use crate::runtime::error::{Error, without_frames};
use crate::runtime::instance::{InstanceInner, caller};
use crate::runtime::leave::{return_or_leave, throw_in_pieces};
use crate::runtime::pending::Pending;
use crate::runtime::store::StoreInner;
use crate::runtime::thrown::{Exception, Throwing};
use crate::runtime::wait::{Begun, return_or_wait};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use wfaas_abi::hostcall::{HOSTCALLS, Hostcall};
use wfaas_abi::types::cells_of;
use wfaas_abi::{ArtifactError, FuncRef, TrapCode, for_each_hostcall};

/// Store and index of the instance that called.
struct Context<'a> {
    store: &'a mut StoreInner,
    instance: u32,
}

macro_rules! types {
    (I32) => {
        u32
    };
    (I64) => {
        u64
    };
}

macro_rules! entries {
    ($($(#[$doc:meta])* $variant:ident $name:ident ($($arg:ident: $ty:ident),*) $(-> $ret:ident)?;)*) => {
        mod entry {
            $(
                pub(super) extern "C" fn $name(
                    instance: *mut super::InstanceInner, $($arg: types!($ty)),*
                ) $(-> types!($ret))? {
                    super::run(instance, |context| super::$name(context, $($arg),*))
                }
            )*
        }

        /// The entries, in the order of the list.
        pub(super) const HOSTCALL_TABLE: [*const (); HOSTCALLS] = {
            let mut table = [$(entry::$name as *const (),)*];
            table[Hostcall::MemoryAtomicWait32 as usize] = wait_hostcall::<Wait32> as *const ();
            table[Hostcall::MemoryAtomicWait64 as usize] = wait_hostcall::<Wait64> as *const ();
            table
        };
    };
}
for_each_hostcall!(entries);

fn run<R: Outcome>(
    instance: *mut InstanceInner,
    hostcall: impl FnOnce(Context<'_>) -> Result<R, Error>,
) -> R::Returned {
    // SAFETY: compiled code passes the instance pointer of its host context.
    let (call, index) = unsafe { caller(instance) };
    // SAFETY: while its guest runs, the store is alive and ours.
    let store = unsafe { StoreInner::of(call) };
    let context = Context { store, instance: index };
    let result = match catch_unwind(AssertUnwindSafe(|| hostcall(context))) {
        Ok(result) => result.map_err(Pending::from),
        Err(panic) => Err(Pending::Panic(panic)),
    };
    // SAFETY: this is called by compiled code, and nothing is left to drop.
    unsafe { R::end(instance, result) }
}

/// An outcome of a hostcall: a value for the guest, or an exception to throw.
trait Outcome: Sized {
    /// The machine type of the hostcall's result.
    type Returned;

    /// Ends the hostcall.
    ///
    /// # Safety
    /// As [`return_or_leave`].
    unsafe fn end(instance: *mut InstanceInner, outcome: Result<Self, Pending>) -> Self::Returned;
}

macro_rules! values {
    ($($ty:ty)*) => {$(
        impl Outcome for $ty {
            type Returned = $ty;

            #[inline(always)]
            unsafe fn end(instance: *mut InstanceInner, outcome: Result<$ty, Pending>) -> $ty {
                // SAFETY: the caller's contract.
                unsafe { return_or_leave(instance, outcome) }
            }
        }
    )*};
}
values!(() u32 u64);

impl Outcome for Exception {
    type Returned = ();

    unsafe fn end(instance: *mut InstanceInner, outcome: Result<Exception, Pending>) {
        match outcome {
            // SAFETY: the caller's contract.
            Ok(exception) => unsafe {
                throw_in_pieces(instance, exception, None, PreemptLanding::again::<ThrowHostcall>())
            },
            // SAFETY: as above.
            Err(pending) => unsafe { return_or_leave(instance, Err(pending)) },
        }
    }
}

const FAILED: u64 = u64::MAX;

fn raise(_: Context<'_>, code: u32) -> Result<(), Error> {
    let code = u8::try_from(code).ok().and_then(TrapCode::from_u8);
    Err(without_frames(code.unwrap_or(TrapCode::InternalFault)))
}

fn memory_grow(context: Context<'_>, memory: u32, delta: u64) -> Result<u64, Error> {
    let memory = context.store.objects.memory_index(context.instance, memory)?;
    Ok(context.store.objects.grow_memory(memory, delta).unwrap_or(FAILED))
}

impl Context<'_> {
    /// Does a bulk operation, in pieces; `result`.
    fn run(self, bulk: Bulk, result: u64) -> Result<u64, Error> {
        self.store.run_bulk(self.instance, bulk, result, PreemptLanding::again::<BulkHostcall>())
    }
}

/// A bulk operation that was stopped, since its guest was preempted.
struct BulkHostcall;

impl ContinuedHostcall for BulkHostcall {
    extern "C" fn go_on(frame: *mut [usize; 2]) -> u64 {
        // SAFETY: the landing passes its frame.
        let call = unsafe { preempt::called_again(frame) };
        // SAFETY: while its guest runs, the store is alive and ours.
        let store = unsafe { StoreInner::of(call) };
        let Some(Unfinished { instance, bulk, result }) = store.unfinished.take() else {
            unreachable!("the guest was preempted in a bulk operation")
        };
        let instance = &raw mut *store.objects.instances[instance as usize];
        run(instance, |context| context.run(bulk, result))
    }
}

fn memory_copy(
    context: Context<'_>,
    dst_memory: u32,
    src_memory: u32,
    dst: u64,
    src: u64,
    len: u64,
) -> Result<(), Error> {
    let Context { ref store, instance } = context;
    let copy = store.objects.memory_copy(instance, (dst_memory, dst), (src_memory, src), len)?;
    context.run(copy, 0).map(drop)
}

fn memory_fill(
    context: Context<'_>,
    memory: u32,
    dst: u64,
    value: u32,
    len: u64,
) -> Result<(), Error> {
    let to = context.store.objects.memory_range(context.instance, memory, dst, len)?;
    context.run(Bulk::Fill { to, value: value as u8, len: len as usize }, 0).map(drop)
}

fn memory_move(_: Context<'_>, to: u64, from: u64, len: u64) -> Result<(), Error> {
    // SAFETY: compiled code has compared both ranges with the size of the memory, which never shrinks.
    unsafe { ptr::copy(from as *const u8, to as *mut u8, len as usize) };
    Ok(())
}

fn memory_set(_: Context<'_>, to: u64, value: u32, len: u64) -> Result<(), Error> {
    // SAFETY: as in `memory_move`.
    unsafe { ptr::write_bytes(to as *mut u8, value as u8, len as usize) };
    Ok(())
}

fn memory_init(
    context: Context<'_>,
    memory: u32,
    segment: u32,
    dst: u64,
    src: u64,
    len: u64,
) -> Result<(), Error> {
    let Context { ref store, instance } = context;
    let init = store.objects.memory_init(instance, memory, segment, dst, src, len)?;
    context.run(init, 0).map(drop)
}

fn memory_atomic_notify(
    context: Context<'_>,
    memory: u32,
    address: u64,
    count: u32,
) -> Result<u32, Error> {
    context.store.objects.atomic_notify(context.instance, memory, address, count)
}

fn memory_atomic_wait32(
    context: Context<'_>,
    memory: u32,
    address: u64,
    expected: u32,
    timeout: u64,
) -> Result<u32, Error> {
    atomic_wait(context, memory, address, Expected::Bits32(expected), timeout)
}

fn memory_atomic_wait64(
    context: Context<'_>,
    memory: u32,
    address: u64,
    expected: u64,
    timeout: u64,
) -> Result<u32, Error> {
    atomic_wait(context, memory, address, Expected::Bits64(expected), timeout)
}

fn atomic_wait(
    context: Context<'_>,
    memory: u32,
    address: u64,
    expected: Expected,
    timeout: u64,
) -> Result<u32, Error> {
    let (Context { store, instance }, timeout) = (context, timeout.cast_signed());
    Ok(store.objects.atomic_wait(instance, memory, address, expected, timeout)? as u32)
}

macro_rules! wait_hostcalls {
    ($($name:ident $expected:ident $ty:ty;)*) => {
        $(
            /// The hostcall of a guest that can be suspended, or of one that cannot.
            struct $name;

            impl WaitHostcall for $name {
                extern "C" fn begin(
                    instance: *mut (),
                    memory: u64,
                    address: u64,
                    expected: u64,
                    timeout: u64,
                    result: *mut u64,
                ) -> *const WayBack {
                    // The upper half of an argument with 32 bits is undefined.
                    let (memory, expected) = (memory as u32, Expected::$expected(expected as $ty));
                    begin_wait(instance.cast(), memory, address, expected, timeout, result)
                }
            }
        )*
    };
}
wait_hostcalls! {
    Wait32 Bits32 u32;
    Wait64 Bits64 u64;
}

fn begin_wait(
    instance: *mut InstanceInner,
    memory: u32,
    address: u64,
    expected: Expected,
    timeout: u64,
    result: *mut u64,
) -> *const WayBack {
    // SAFETY: this is called by a hostcall, and keeps nothing.
    if unsafe { task::context() }.is_some() {
        return suspend_at(instance, memory, address, expected, timeout, result);
    }
    let wait = |context: Context<'_>| atomic_wait(context, memory, address, expected, timeout);
    let outcome = run(instance, wait);
    // SAFETY: the stub has the cell.
    unsafe { result.write(outcome.into()) };
    ptr::null()
}

fn suspend_at(
    instance: *mut InstanceInner,
    memory: u32,
    address: u64,
    expected: Expected,
    timeout: u64,
    result: *mut u64,
) -> *const WayBack {
    let begin = |call, index| {
        // SAFETY: while its guest runs, the store is alive and ours.
        let objects = unsafe { &mut StoreInner::of(call).objects };
        let timeout = timeout.cast_signed();
        // SAFETY: the stub has the cell, as long as the guest waits.
        let wait = unsafe { objects.begin_wait(index, memory, address, expected, timeout, result) };
        wait.map(Begun::Waits).map_err(Pending::from)
    };
    // SAFETY: this is called last by the stub's function, and nothing is left to drop.
    unsafe { return_or_wait(instance, begin) }
}

fn table_get(context: Context<'_>, table: u32, index: u64) -> Result<u64, Error> {
    let table = &context.store.objects.tables
        [context.store.objects.table_index(context.instance, table)?];
    let bits = table.get(index).map_err(without_frames)?;
    let (owner, element) = (table.owner(), table.element());
    if element.is_func_ref() {
        return context.store.objects.translate(bits, owner, Some(context.instance));
    }
    Ok(bits)
}

fn table_set(context: Context<'_>, table: u32, index: u64, value: u64) -> Result<(), Error> {
    let table = context.store.objects.table_index(context.instance, table)?;
    context.store.objects.table_set(context.instance, table, index, value)
}

fn table_size(context: Context<'_>, table: u32) -> Result<u64, Error> {
    Ok(context.store.objects.tables[context.store.objects.table_index(context.instance, table)?]
        .size())
}

fn table_grow(context: Context<'_>, table: u32, value: u64, delta: u64) -> Result<u64, Error> {
    let table = context.store.objects.table_index(context.instance, table)?;
    let bits = context.store.objects.table_bits(context.instance, table, value)?;
    let Some(at) = context.store.objects.table_room(table, delta) else { return Ok(FAILED) };
    context.run(Bulk::TableGrow { table, at, bits, len: delta }, at)
}

fn table_fill(
    context: Context<'_>,
    table: u32,
    dst: u64,
    value: u64,
    len: u64,
) -> Result<(), Error> {
    let table = context.store.objects.table_index(context.instance, table)?;
    let bits = context.store.objects.table_bits(context.instance, table, value)?;
    context.store.objects.tables[table].check(dst, len).map_err(without_frames)?;
    context.run(Bulk::TableFill { table, at: dst, bits, len }, 0).map(drop)
}

fn table_copy(
    context: Context<'_>,
    dst_table: u32,
    src_table: u32,
    dst: u64,
    src: u64,
    len: u64,
) -> Result<(), Error> {
    let Context { ref store, instance } = context;
    let to = (store.objects.table_index(instance, dst_table)?, dst);
    let from = (store.objects.table_index(instance, src_table)?, src);
    let copy = store.objects.table_copy(to, from, len)?;
    context.run(copy, 0).map(drop)
}

fn table_init(
    context: Context<'_>,
    table: u32,
    segment: u32,
    dst: u64,
    src: u64,
    len: u64,
) -> Result<(), Error> {
    let Context { ref store, instance } = context;
    let init = store.objects.table_init(instance, table, segment, dst, src, len)?;
    context.run(init, 0).map(drop)
}

fn foreign_func(context: Context<'_>, index: u32, ty: u32) -> Result<u64, Error> {
    let record = context.store.objects.foreign_record(index, ty, context.instance)?;
    Ok(std::ptr::from_ref(record) as u64)
}

fn globalize(context: Context<'_>, base: u64, value: u64) -> Result<u64, Error> {
    let reference = FuncRef::from_bits(value);
    if reference.is_null() || reference.is_foreign() {
        return Ok(value);
    }
    let mut instances = context.store.objects.instances.iter();
    let owner = instances.position(|instance| instance.base as u64 == base);
    let owner = owner.ok_or_else(|| Error::Unsupported("a reference without an owner".into()))?;
    context.store.objects.translate(value, Some(owner as u32), None)
}

fn global_get(context: Context<'_>, global: u32) -> Result<u64, Error> {
    let index = context.store.objects.global_index(context.instance, global)?;
    let ((bits, _), owner) =
        (context.store.objects.globals[index].read(), context.store.objects.globals[index].owner());
    context.store.objects.translate(bits, owner, Some(context.instance))
}

fn global_set(context: Context<'_>, global: u32, value: u64) -> Result<(), Error> {
    let index = context.store.objects.global_index(context.instance, global)?;
    let owner = context.store.objects.globals[index].owner();
    let bits = context.store.objects.translate(value, Some(context.instance), owner)?;
    context.store.objects.globals[index].write((bits, 0));
    Ok(())
}

fn throw(context: Context<'_>, tag: u32, values: u64) -> Result<Exception, Error> {
    let Context { store, instance } = context;
    let tags = &store.objects.instances[instance as usize].tags;
    let tag = *tags.get(tag as usize).ok_or(ArtifactError::Corrupt("no such tag"))?;
    let types = store.objects.tags[tag as usize].clone();
    let cells = cells_of(types.params());
    let given = std::ptr::slice_from_raw_parts(values as *const u64, cells);
    // SAFETY: compiled code passes the address of so many cells on its stack.
    let mut values: Box<[u64]> = unsafe { &*given }.into();
    let mut at = 0;
    for ty in types.params() {
        if ty.is_func_ref() {
            values[at] = store.objects.translate(values[at], Some(instance), None)?;
        }
        at += cells_of(&[*ty]);
    }
    store.objects.add_exception(&store.call, tag, values)
}

fn throw_ref(context: Context<'_>, exception: u64) -> Result<Exception, Error> {
    if exception == 0 {
        return Err(without_frames(TrapCode::NullExceptionReference));
    }
    context.store.objects.exception(exception)
}

/// A throw that was stopped, since its guest was preempted.
struct ThrowHostcall;

impl ContinuedHostcall for ThrowHostcall {
    extern "C" fn go_on(frame: *mut [usize; 2]) -> u64 {
        // SAFETY: the landing passes its frame.
        let call = unsafe { preempt::called_again(frame) };
        // SAFETY: while its guest runs, the store is alive and ours.
        let store = unsafe { StoreInner::of(call) };
        let Some(Throwing { instance, exception, at }) = store.throwing.take() else {
            unreachable!("the guest was preempted in a throw")
        };
        let instance = &raw mut *store.objects.instances[instance as usize];
        let again = PreemptLanding::again::<ThrowHostcall>();
        // SAFETY: the landing is compiled code's, and its callers are where they were; nothing is left to drop.
        unsafe { throw_in_pieces(instance, exception, Some(at), again) };
        0 // nobody reads it: the guest is at the landing again
    }
}

fn exception_values(context: Context<'_>, exception: u64) -> Result<u64, Error> {
    context.store.objects.exception_cells(exception)
}
