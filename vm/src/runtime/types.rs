//! Types of imports and exports.

use std::fmt;
use wfaas_abi::artifact::records::{
    ExternKind, ExternType as ExternRecord, MemoryRecord, NO_MAXIMUM, limits,
};
use wfaas_abi::layout::MAX_MEMORY_PAGES;
use wfaas_abi::{Artifact, ArtifactError, FuncType, ValType};

/// Size limits of a table (in elements) or memory (in WebAssembly pages).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Least size.
    pub minimum: u64,
    /// Greatest size, if there is one.
    pub maximum: Option<u64>,
}

impl Limits {
    pub(crate) fn from_record(minimum: u64, maximum: u64) -> Limits {
        Limits { minimum, maximum: (maximum != NO_MAXIMUM).then_some(maximum) }
    }

    /// Whether something of `current` size, with `maximum`, may be imported where `self` is
    /// wanted (Core Specification, "Import Subtyping").
    fn accept(self, current: u64, maximum: Option<u64>) -> bool {
        current >= self.minimum
            && self.maximum.is_none_or(|most| maximum.is_some_and(|maximum| maximum <= most))
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.minimum)?;
        match self.maximum {
            Some(maximum) => write!(f, "..={maximum}"),
            None => write!(f, ".."),
        }
    }
}

/// Type of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableType {
    /// Type of the elements.
    pub element: ValType,
    /// Size in elements.
    pub limits: Limits,
    /// Whether indices are 64-bit numbers.
    pub index64: bool,
}

/// Type of a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryType {
    /// Size in WebAssembly pages.
    pub limits: Limits,
    /// Whether indices are 64-bit numbers.
    pub index64: bool,
    /// Whether threads can share it.
    pub shared: bool,
}

impl MemoryType {
    pub(super) fn of(record: &MemoryRecord) -> MemoryType {
        MemoryType {
            limits: Limits::from_record(record.minimum.get(), record.maximum.get()),
            index64: record.limits.get() & limits::INDEX64 != 0,
            shared: record.limits.get() & limits::SHARED != 0,
        }
    }
}

impl MemoryType {
    /// Most pages that a memory of this type can have.
    pub(crate) fn most_pages(&self) -> u64 {
        self.limits.maximum.unwrap_or(MAX_MEMORY_PAGES).min(MAX_MEMORY_PAGES)
    }
}

/// Type of a global.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalType {
    /// Type of the value.
    pub content: ValType,
    /// Whether it can be set.
    pub mutable: bool,
}

impl GlobalType {
    /// Whether a global of type `given` can be imported where `self` is wanted.
    fn accepts(self, given: GlobalType) -> bool {
        let both_ways = !self.mutable || self.content.matches(given.content);
        self.mutable == given.mutable && given.content.matches(self.content) && both_ways
    }
}

/// Type of an import or export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// A tag of exceptions that carry values of the parameters' types.
    Tag(FuncType),
}

impl ExternType {
    /// The function type, if it is a function.
    pub fn func(&self) -> Option<&FuncType> {
        match self {
            ExternType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    /// Whether something of type `given` (with its current size as the minimum) can be imported
    /// where `self` is wanted.
    pub(crate) fn accepts(&self, given: &ExternType) -> bool {
        match (self, given) {
            (ExternType::Func(wanted), ExternType::Func(given)) => wanted == given,
            (ExternType::Tag(wanted), ExternType::Tag(given)) => wanted == given,
            (ExternType::Global(wanted), ExternType::Global(given)) => wanted.accepts(*given),
            (ExternType::Table(wanted), ExternType::Table(given)) => {
                wanted.element == given.element
                    && wanted.index64 == given.index64
                    && wanted.limits.accept(given.limits.minimum, given.limits.maximum)
            }
            (ExternType::Memory(wanted), ExternType::Memory(given)) => {
                wanted.index64 == given.index64
                    && wanted.shared == given.shared
                    && wanted.limits.accept(given.limits.minimum, given.limits.maximum)
            }
            _ => false,
        }
    }
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => write!(f, "function {ty}"),
            ExternType::Table(ty) => {
                write!(f, "table {}{} of {}", index_type(ty.index64), ty.limits, ty.element)
            }
            ExternType::Memory(ty) => {
                let shared = if ty.shared { ", shared" } else { "" };
                write!(f, "memory {}{} pages{shared}", index_type(ty.index64), ty.limits)
            }
            ExternType::Global(ty) if ty.mutable => write!(f, "global mutable {}", ty.content),
            ExternType::Global(ty) => write!(f, "global {}", ty.content),
            ExternType::Tag(ty) => write!(f, "tag {ty}"),
        }
    }
}

/// The index type where it is not the usual one, as the text format has it.
fn index_type(index64: bool) -> &'static str {
    if index64 { "i64 " } else { "" }
}

/// The bits of an index of 32 or 64 bits.
pub(super) fn index(bits: u64, index64: bool) -> u64 {
    if index64 { bits } else { u64::from(bits as u32) }
}

/// The type a record describes.
pub(crate) fn extern_type(
    artifact: &Artifact<'_>,
    record: &ExternRecord,
) -> Result<ExternType, ArtifactError> {
    let bit = |bit| record.limits.get() & bit != 0;
    let (index64, shared) = (bit(limits::INDEX64), bit(limits::SHARED));
    let limits = Limits::from_record(record.minimum.get(), record.maximum.get());
    Ok(match record.extern_kind()? {
        ExternKind::Func => ExternType::Func(artifact.func_type(record.ty.get())?),
        ExternKind::Table => {
            ExternType::Table(TableType { element: artifact.val_type(record.ty)?, limits, index64 })
        }
        ExternKind::Memory => ExternType::Memory(MemoryType { limits, index64, shared }),
        ExternKind::Global => ExternType::Global(GlobalType {
            content: artifact.val_type(record.ty)?,
            mutable: record.mutable.get() != 0,
        }),
        ExternKind::Tag => ExternType::Tag(artifact.func_type(record.ty.get())?),
    })
}
