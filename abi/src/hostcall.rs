//! Hostcalls: the calls that guest code may make to the VM.
//!
//! Compiled code reaches a hostcall through its pointer in the host context. All are `extern "C"`
//! and take the pointer in [`HostContext::instance`](crate::context::HostContext::instance) as a
//! first argument, then the arguments in the list. They return normally, or leave the guest
//! altogether.

/// The machine type of a hostcall's argument or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostcallType {
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
}

/// The most bytes that `memory_move` and `memory_set` may be asked for: 16 pages of two ranges take less
/// than 200 µs, also if all of them are touched for the first time.
pub const MOST_MOVED: u64 = 64 << 10;

/// The list. Invoke with the name of a macro that takes
/// `$($(#[$doc])* $Variant:ident $name:ident ($($arg:ident: $type:ident),*) $(-> $ret:ident)?;)*`,
/// types being those of [`HostcallType`].
#[macro_export]
macro_rules! for_each_hostcall {
    ($macro:ident) => {
        $macro! {
            /// Ends the call with the trap `code` ([`TrapCode`](crate::TrapCode) as a number). Does not return.
            Raise raise(code: I32);
            /// Grows memory `memory` by `delta` WebAssembly pages; the old size, or -1.
            MemoryGrow memory_grow(memory: I32, delta: I64) -> I64;
            /// `memory.copy` of `len` bytes from `src` in `src_memory` to `dst` in `dst_memory`.
            MemoryCopy memory_copy(dst_memory: I32, src_memory: I32, dst: I64, src: I64, len: I64);
            /// `memory.fill` of `len` bytes with the low byte of `value`.
            MemoryFill memory_fill(memory: I32, dst: I64, value: I32, len: I64);
            /// `memory.init` of `len` bytes from `src` in data segment `segment`.
            MemoryInit memory_init(memory: I32, segment: I32, dst: I64, src: I64, len: I64);
            /// Wakes at most `count` of the threads that wait at `address`; how many.
            MemoryAtomicNotify memory_atomic_notify(memory: I32, address: I64, count: I32) -> I32;
            /// Waits at `address` if the value there is `expected`, for at most `timeout`
            /// nanoseconds, or without end if that is negative; 0 if woken, 1 if the value is
            /// another one, 2 if the time is over.
            MemoryAtomicWait32 memory_atomic_wait32(memory: I32, address: I64, expected: I32, timeout: I64) -> I32;
            /// As `memory_atomic_wait32`, with a value of 64 bits.
            MemoryAtomicWait64 memory_atomic_wait64(memory: I32, address: I64, expected: I64, timeout: I64) -> I32;
            /// Element `index` of table `table`, in the caller's terms.
            TableGet table_get(table: I32, index: I64) -> I64;
            /// Sets element `index` of table `table` to `value`, given in the caller's terms.
            TableSet table_set(table: I32, index: I64, value: I64);
            /// Current number of elements of table `table`.
            TableSize table_size(table: I32) -> I64;
            /// Grows table `table` by `delta` elements of `value`; the old size, or -1.
            TableGrow table_grow(table: I32, value: I64, delta: I64) -> I64;
            /// `table.fill` of `len` elements.
            TableFill table_fill(table: I32, dst: I64, value: I64, len: I64);
            /// `table.copy` of `len` elements.
            TableCopy table_copy(dst_table: I32, src_table: I32, dst: I64, src: I64, len: I64);
            /// `table.init` of `len` elements from `src` in element segment `segment`.
            TableInit table_init(table: I32, segment: I32, dst: I64, src: I64, len: I64);
            /// The address of the [`FuncImport`](crate::context::FuncImport) of the store's foreign function
            /// `index`; traps if the function's type is not the caller's type `ty`.
            ForeignFunc foreign_func(index: I32, ty: I32) -> I64;
            /// The reference `value`, held by the instance with the BASE `base`, in terms that
            /// hold in every instance of the store.
            Globalize globalize(base: I64, value: I64) -> I64;
            /// The funcref in imported global `global`, in the caller's terms.
            GlobalGet global_get(global: I32) -> I64;
            /// Sets the funcref in imported global `global`.
            GlobalSet global_set(global: I32, value: I64);
            /// Throws an exception with tag `tag` and the values in the cells at `values`, given
            /// in the caller's terms. Does not return: goes on in a handler, or ends the call.
            Throw throw(tag: I32, values: I64);
            /// Throws the exception that `exception` refers to; traps if it is null. Does not return.
            ThrowRef throw_ref(exception: I64);
            /// The address of the cells with the values of an exception, valid until the next hostcall.
            ExceptionValues exception_values(exception: I64) -> I64;
            /// Copies `len` bytes from the address `from` to the address `to`; they may overlap. Compiled
            /// code has compared both ranges with the size of the memory, and `len` with
            /// [`MOST_MOVED`].
            MemoryMove memory_move(to: I64, from: I64, len: I64);
            /// Writes the low byte of `value` to `len` bytes at the address `to`. Compiled code has compared
            /// this range and `len` as for `memory_move`.
            MemorySet memory_set(to: I64, value: I32, len: I64);
        }
    };
}

macro_rules! define_hostcalls {
    ($($(#[$doc:meta])* $variant:ident $name:ident ($($arg:ident: $ty:ident),*) $(-> $ret:ident)?;)*) => {
        /// A hostcall; its number is its place in the host context's list of pointers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Hostcall { $($(#[$doc])* $variant,)* }

        impl Hostcall {
            /// Every hostcall, in order.
            pub const ALL: &'static [Hostcall] = &[$(Hostcall::$variant,)*];

            /// The name in symbol tables.
            pub const fn name(self) -> &'static str {
                match self { $(Hostcall::$variant => stringify!($name),)* }
            }

            /// Types of the arguments after the instance pointer.
            pub const fn params(self) -> &'static [HostcallType] {
                match self { $(Hostcall::$variant => &[$(HostcallType::$ty),*],)* }
            }

            /// Type of the result, if there is one.
            pub const fn result(self) -> Option<HostcallType> {
                match self { $(Hostcall::$variant => define_hostcalls!(@ret $($ret)?),)* }
            }
        }

        /// The hostcalls by place, for the description of the ABI. Arguments
        /// of one type are told apart by their names.
        pub(crate) const SIGNATURES: &[crate::description::Item] = &[$(
            crate::description::Item {
                name: concat!(
                    stringify!($name),
                    $(" ", stringify!($arg), ": ", stringify!($ty),)*
                    $(" -> ", stringify!($ret))?
                ),
                number: Hostcall::$variant as i64,
            },
        )*];
    };
    (@ret) => { None };
    (@ret $ret:ident) => { Some(HostcallType::$ret) };
}
for_each_hostcall!(define_hostcalls);

#[cfg(test)]
pub(crate) use define_hostcalls;

/// How many hostcalls there are.
pub const HOSTCALLS: usize = Hostcall::ALL.len();
