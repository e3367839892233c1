//! Canonical built-ins of tasks, waitables, streams and futures (WASI 0.3).

use super::records::{BindingKind, StringEncoding, flags};
use super::types::{FunctionIndex, TypeIndex};
use crate::artifact::records::NONE;

/// A canonical built-in of tasks, waitables, streams or futures, with the core type that `CanonicalABI.md` gives it.
/// A built-in that `allocates` has an `i64` as its result instead, because a stub calls it: see
/// [`ImportKind::ReallocNext`](super::ImportKind::ReallocNext).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// `task.return`: the parameters of a function type that stand for the result.
    TaskReturn {
        /// A function type: its one parameter is the task's result, and a task without a result has none.
        ty: FunctionIndex,
        /// How strings are encoded.
        encoding: StringEncoding,
    },
    /// `task.cancel`
    TaskCancel,
    /// `context.get`, of an `i32`, by slot.
    ContextGet(u32),
    /// `context.set`, of an `i32`, by slot.
    ContextSet(u32),
    /// `backpressure.inc`
    BackpressureInc,
    /// `backpressure.dec`
    BackpressureDec,
    /// `thread.yield`
    ThreadYield,
    /// `subtask.cancel`
    SubtaskCancel,
    /// `subtask.drop`
    SubtaskDrop,
    /// `waitable-set.new`
    WaitableSetNew,
    /// `waitable-set.wait`
    WaitableSetWait {
        /// Whether a stub allocates for the event.
        allocates: bool,
    },
    /// `waitable-set.poll`
    WaitableSetPoll {
        /// Whether a stub allocates for the event.
        allocates: bool,
    },
    /// `waitable-set.drop`
    WaitableSetDrop,
    /// `waitable.join`
    WaitableJoin,
    /// An operation of a stream or a future.
    Copy(CopyBuiltin),
}

/// An operation of a stream's or a future's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CopyBuiltin {
    /// Which one.
    pub operation: CopyOperation,
    /// The type: a [`Stream`](super::Type::Stream) or a [`Future`](super::Type::Future).
    pub ty: TypeIndex,
    /// How strings in the elements are encoded.
    pub encoding: StringEncoding,
    /// Whether a stub allocates for the elements.
    pub allocates: bool,
    /// Whether it returns `BLOCKED` rather than wait.
    pub is_async: bool,
}

/// The operations of streams and futures, as `stream.new` or `future.new`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CopyOperation {
    /// `new`
    New,
    /// `read`
    Read,
    /// `write`
    Write,
    /// `cancel-read`
    CancelRead,
    /// `cancel-write`
    CancelWrite,
    /// `drop-readable`
    DropReadable,
    /// `drop-writable`
    DropWritable,
}

/// A built-in as the numbers of a row.
pub(super) struct BuiltinRow {
    pub(super) kind: BindingKind,
    pub(super) index: u32,
    pub(super) encoding: StringEncoding,
    pub(super) flags: u32,
}

impl Builtin {
    pub(super) fn row(&self) -> BuiltinRow {
        let plain =
            |kind| BuiltinRow { kind, index: NONE, encoding: StringEncoding::Utf8, flags: 0 };
        let slot = |kind, index| BuiltinRow { index, ..plain(kind) };
        let event = |kind, allocates: bool| BuiltinRow {
            flags: if allocates { flags::REALLOC } else { 0 },
            ..plain(kind)
        };
        match *self {
            Builtin::TaskReturn { ty, encoding } => {
                BuiltinRow { index: ty.0, encoding, ..plain(BindingKind::TaskReturn) }
            }
            Builtin::TaskCancel => plain(BindingKind::TaskCancel),
            Builtin::ContextGet(index) => slot(BindingKind::ContextGet, index),
            Builtin::ContextSet(index) => slot(BindingKind::ContextSet, index),
            Builtin::BackpressureInc => plain(BindingKind::BackpressureInc),
            Builtin::BackpressureDec => plain(BindingKind::BackpressureDec),
            Builtin::ThreadYield => plain(BindingKind::ThreadYield),
            Builtin::SubtaskCancel => plain(BindingKind::SubtaskCancel),
            Builtin::SubtaskDrop => plain(BindingKind::SubtaskDrop),
            Builtin::WaitableSetNew => plain(BindingKind::WaitableSetNew),
            Builtin::WaitableSetWait { allocates } => {
                event(BindingKind::WaitableSetWait, allocates)
            }
            Builtin::WaitableSetPoll { allocates } => {
                event(BindingKind::WaitableSetPoll, allocates)
            }
            Builtin::WaitableSetDrop => plain(BindingKind::WaitableSetDrop),
            Builtin::WaitableJoin => plain(BindingKind::WaitableJoin),
            Builtin::Copy(CopyBuiltin { operation, ty, encoding, allocates, is_async }) => {
                let waits = if is_async { flags::ASYNC } else { 0 };
                let BuiltinRow { kind, flags, .. } = event(operation.kind(), allocates);
                BuiltinRow { kind, index: ty.0, encoding, flags: flags | waits }
            }
        }
    }
}

impl CopyOperation {
    const fn kind(self) -> BindingKind {
        match self {
            CopyOperation::New => BindingKind::CopyNew,
            CopyOperation::Read => BindingKind::CopyRead,
            CopyOperation::Write => BindingKind::CopyWrite,
            CopyOperation::CancelRead => BindingKind::CopyCancelRead,
            CopyOperation::CancelWrite => BindingKind::CopyCancelWrite,
            CopyOperation::DropReadable => BindingKind::CopyDropReadable,
            CopyOperation::DropWritable => BindingKind::CopyDropWritable,
        }
    }

    /// The operation of a row's kind, if it is one.
    pub(super) const fn of(kind: BindingKind) -> Option<CopyOperation> {
        Some(match kind {
            BindingKind::CopyNew => CopyOperation::New,
            BindingKind::CopyRead => CopyOperation::Read,
            BindingKind::CopyWrite => CopyOperation::Write,
            BindingKind::CopyCancelRead => CopyOperation::CancelRead,
            BindingKind::CopyCancelWrite => CopyOperation::CancelWrite,
            BindingKind::CopyDropReadable => CopyOperation::DropReadable,
            BindingKind::CopyDropWritable => CopyOperation::DropWritable,
            _ => return None,
        })
    }
}
