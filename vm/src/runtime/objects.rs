//! The objects of a store: everything guests and the embedder have made in it.

use crate::call::enter::Callee;
use crate::runtime::error::Error;
use crate::runtime::exception_list::Exceptions;
use crate::runtime::global::GlobalInner;
use crate::runtime::host_func::HostFunc;
use crate::runtime::instance::InstanceInner;
use crate::runtime::item::{FuncId, Item};
use crate::runtime::limits::{MemoryLimits, element_bytes, page_bytes};
use crate::runtime::memory::MemoryInner;
use crate::runtime::module::Module;
use crate::runtime::slot::SlotTerms;
use crate::runtime::table::TableInner;
use crate::runtime::translations::Translations;
use crate::runtime::types::{ExternType, GlobalType, MemoryType, TableType};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use wfaas_abi::artifact::records::ExternKind;
use wfaas_abi::context::FuncImport;
use wfaas_abi::{FuncType, TypeHash};

/// An object of the host that guests hold references to.
pub(crate) type HostObject = Arc<dyn Any + Send + Sync>;

/// The objects of a store, in lists: each is known by its place.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(super) id: u32,
    // Boxed, since compiled code and other instances hold their addresses.
    #[expect(clippy::vec_box)]
    pub(super) instances: Vec<Box<InstanceInner>>,
    #[expect(clippy::vec_box)]
    pub(super) memories: Vec<Box<MemoryInner>>,
    #[expect(clippy::vec_box)]
    pub(super) tables: Vec<Box<TableInner>>,
    #[expect(clippy::vec_box)]
    pub(super) globals: Vec<Box<GlobalInner>>,
    /// Types of the tags: exceptions carry values of the parameters' types.
    pub(super) tags: Vec<FuncType>,
    pub(super) exceptions: Exceptions,
    pub(super) host_funcs: Vec<Arc<HostFunc>>,
    pub(super) foreign: Foreign,
    pub(super) host_objects: Vec<HostObject>,
    pub(super) limits: MemoryLimits,
    /// The objects that a reset keeps.
    pub(super) made: Counts,
}

/// Functions that are referred to from outside their instance.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    #[expect(clippy::vec_box)] // compiled code holds the records' addresses while it calls
    pub(super) funcs: Vec<Box<ForeignFunc>>,
    pub(super) indices: BTreeMap<FuncId, u32>,
    /// References as instances' terms have them.
    pub(super) translated: Translations,
}

/// A function that is referred to from outside its instance.
#[derive(Debug)]
pub(super) struct ForeignFunc {
    pub(super) func: FuncId,
    pub(super) ty: TypeHash,
    /// The last caller that it was checked for: the instance, and `ty` among the types of its module.
    pub(super) called_as: Option<(u32, u32)>,
    /// The record by which compiled code calls it.
    pub(super) record: FuncImport,
}

/// Numbers of objects, by the kinds that the embedder can add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) instances: usize,
    pub(super) memories: usize,
    pub(super) tables: usize,
    pub(super) globals: usize,
    pub(super) tags: usize,
    pub(super) host_funcs: usize,
}

/// A number that no store has had.
pub(super) fn next_id() -> u32 {
    static NEXT_ID: AtomicU32 = AtomicU32::new(0);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl Objects {
    /// No objects. Each instance may have `memory_bytes` bytes of memory, tables included.
    pub(super) fn new(memory_bytes: u64) -> Objects {
        Objects {
            id: next_id(),
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            tags: Vec::new(),
            exceptions: Exceptions::default(),
            host_funcs: Vec::new(),
            foreign: Foreign::default(),
            host_objects: Vec::new(),
            limits: MemoryLimits::new(memory_bytes),
            made: Counts::default(),
        }
    }

    /// The number by which handles know the store.
    #[inline]
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Panics if a handle is of another store: a bug of the embedder, as documented.
    #[inline]
    pub(crate) fn check_id(&self, id: u32) {
        assert_eq!(self.id, id, "a handle was used with a store it does not belong to");
    }

    #[inline]
    pub(crate) fn instance(&self, index: u32) -> &InstanceInner {
        &self.instances[index as usize]
    }

    /// How many instances there are.
    pub(super) fn instance_count(&self) -> usize {
        self.instances.len()
    }

    #[inline]
    pub(crate) fn memory(&self, index: u32) -> &MemoryInner {
        &self.memories[index as usize]
    }

    #[inline]
    pub(crate) fn memory_mut(&mut self, index: u32) -> &mut MemoryInner {
        &mut self.memories[index as usize]
    }

    pub(crate) fn table(&self, index: u32) -> &TableInner {
        &self.tables[index as usize]
    }

    pub(crate) fn table_mut(&mut self, index: u32) -> &mut TableInner {
        &mut self.tables[index as usize]
    }

    pub(crate) fn global(&self, index: u32) -> &GlobalInner {
        &self.globals[index as usize]
    }

    pub(crate) fn global_mut(&mut self, index: u32) -> &mut GlobalInner {
        &mut self.globals[index as usize]
    }

    pub(crate) fn tag(&self, index: u32) -> &FuncType {
        &self.tags[index as usize]
    }

    pub(super) fn host_func(&self, index: u32) -> &Arc<HostFunc> {
        &self.host_funcs[index as usize]
    }

    /// Adds a memory of the host's making, zeroed; its place.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::MemoryLimit`] if the minimum is too large, [`Error::Slot`]
    /// if there is no room.
    pub(crate) fn add_memory(
        &mut self,
        ty: MemoryType,
        terms: SlotTerms<'_>,
    ) -> Result<u32, Error> {
        self.check_room("a memory", page_bytes(ty.limits.minimum))?;
        Ok(push(&mut self.memories, Box::new(MemoryInner::new(ty, terms)?)))
    }

    /// Adds a table of the host's making, filled with `bits`; its place.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::MemoryLimit`] if it is too large.
    pub(crate) fn add_table(&mut self, ty: TableType, bits: u64) -> Result<u32, Error> {
        self.check_room("a table", element_bytes(ty.limits.minimum))?;
        Ok(push(&mut self.tables, Box::new(TableInner::new(ty, bits)?)))
    }

    /// Adds a global of the host's making; its place.
    pub(crate) fn add_global(&mut self, ty: GlobalType, bits: (u64, u64)) -> u32 {
        push(&mut self.globals, Box::new(GlobalInner::new(ty, bits)))
    }

    /// Adds a tag; its place.
    pub(crate) fn add_tag(&mut self, ty: FuncType) -> u32 {
        push(&mut self.tags, ty)
    }

    /// Adds a host function; its name.
    pub(crate) fn add_host_func(&mut self, func: Arc<HostFunc>) -> FuncId {
        FuncId::Host(push(&mut self.host_funcs, func))
    }

    /// The name of a linker's host function, which is added if the store does not have it.
    pub(crate) fn known_host_func(&mut self, func: &Arc<HostFunc>) -> FuncId {
        match self.host_funcs.iter().position(|known| Arc::ptr_eq(known, func)) {
            Some(index) => FuncId::Host(index as u32),
            None => self.add_host_func(func.clone()),
        }
    }

    /// A guest's reference to an object of the host; never zero.
    pub(crate) fn object_to_bits(&mut self, object: &HostObject) -> u64 {
        let same = |other: &HostObject| Arc::ptr_eq(other, object);
        let index = self.host_objects.iter().position(same);
        let index = index.unwrap_or_else(|| push(&mut self.host_objects, object.clone()) as usize);
        index as u64 + 1
    }

    /// The object that a guest's reference names.
    pub(crate) fn object_from_bits(&self, bits: u64) -> Option<HostObject> {
        let index = usize::try_from(bits).ok()?.checked_sub(1)?;
        self.host_objects.get(index).cloned()
    }

    /// The type of a function.
    pub(crate) fn func_type(&self, func: FuncId) -> FuncType {
        match func {
            FuncId::Guest { instance, index } => {
                let artifact = self.instances[instance as usize].module.artifact();
                let record = artifact.functions()[index as usize];
                artifact.func_type(record.type_index.get()).expect("checked when it was exported")
            }
            FuncId::Host(index) => self.host_funcs[index as usize].ty.clone(),
        }
    }

    /// The identity of a function's type.
    pub(crate) fn type_hash(&self, func: FuncId) -> Result<TypeHash, Error> {
        match func {
            FuncId::Guest { instance, index } => self.instances[instance as usize].type_hash(index),
            FuncId::Host(index) => Ok(self.host_funcs[index as usize].ty.hash()),
        }
    }

    /// The type of anything, with the present size as the minimum.
    pub(crate) fn type_of(&self, item: &Item) -> ExternType {
        match item {
            Item::Func(func) => ExternType::Func(self.func_type(*func)),
            Item::Table(table) => ExternType::Table(self.table(*table).ty()),
            Item::Memory(memory) => ExternType::Memory(self.memory(*memory).ty()),
            Item::SharedMemory(memory) => ExternType::Memory(memory.ty()),
            Item::Global(global) => ExternType::Global(self.global(*global).ty()),
            Item::Tag(tag) => ExternType::Tag(self.tag(*tag).clone()),
        }
    }

    /// The record by which compiled code calls a function.
    pub(super) fn func_import(&self, func: FuncId) -> Result<FuncImport, Error> {
        match func {
            FuncId::Guest { .. } => {
                let callee = self.callee(func)?;
                Ok(FuncImport { code: callee.code as u64, base: callee.base as u64, env: 0 })
            }
            FuncId::Host(index) => Ok(self.host_funcs[index as usize].import()),
        }
    }

    /// The addresses by which a guest function is called.
    pub(crate) fn callee(&self, func: FuncId) -> Result<Callee, Error> {
        let FuncId::Guest { instance, index } = func else {
            return Err(Error::Unsupported("a host function is no guest function".into()));
        };
        self.instances[instance as usize].callee(index)
    }

    /// The export `name` of an instance.
    pub(crate) fn export(&self, instance: u32, name: &str) -> Option<Item> {
        let inner = self.instance(instance);
        let (kind, index) = inner.module.find_export(name)?;
        let at = |list: &Vec<u32>| list.get(index as usize).copied();
        Some(match kind {
            ExternKind::Func => match inner.imported_funcs.get(index as usize) {
                Some(imported) => Item::Func(*imported),
                None => {
                    let known = (index as usize) < inner.module.artifact().functions().len();
                    known.then_some(Item::Func(FuncId::Guest { instance, index }))?
                }
            },
            ExternKind::Table => Item::Table(at(&inner.tables)?),
            ExternKind::Memory => {
                let index = at(&inner.memories)?;
                match self.memory(index).shared() {
                    Some(memory) => Item::SharedMemory(memory.clone()),
                    None => Item::Memory(index),
                }
            }
            ExternKind::Global => Item::Global(at(&inner.globals)?),
            ExternKind::Tag => Item::Tag(at(&inner.tags)?),
        })
    }

    /// The place of the memory that an instance exports as `memory`, if it is not shared.
    #[inline]
    pub(crate) fn exported_memory(&self, instance: u32) -> Option<u32> {
        self.unshared_memory(instance, self.instance(instance).module.exported_memory()?)
    }

    /// The place of a memory by its index in an instance's module, if it is not shared.
    #[inline]
    pub(crate) fn unshared_memory(&self, instance: u32, index: u32) -> Option<u32> {
        let index = *self.instance(instance).memories.get(index as usize)?;
        self.memory(index).shared().is_none().then_some(index)
    }

    /// The module that has code at `pc`, and the offset in its text.
    pub(super) fn code_at(&self, pc: usize) -> Option<(&Module, u32)> {
        let modules = self.instances.iter().map(|instance| &instance.module);
        modules.filter_map(|module| Some((module, module.text_offset(pc)?))).next()
    }

    /// Bytes that the memories keep in memory after a reset.
    #[inline]
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memories.iter().map(|memory| memory.resident_bytes()).sum()
    }

    /// Gives a piece of a memory's pages back ahead of a reset: of the memory with this index, from so many bytes
    /// on. The next piece, if there may be one.
    pub(crate) fn shed(&mut self, (memory, from): (usize, usize)) -> Option<(usize, usize)> {
        let next = self.memories.get_mut(memory)?.shed(from);
        Some(next.map_or((memory + 1, 0), |from| (memory, from)))
    }

    /// Nanoseconds that a reset of the memories takes at most if `written` pages were written to.
    pub(crate) fn reset_nanos(&self, written: usize) -> u64 {
        self.memories.iter().map(|memory| memory.reset_nanos(written)).sum()
    }
}

/// Adds something to a list; its place.
pub(super) fn push<V>(list: &mut Vec<V>, value: V) -> u32 {
    list.push(value);
    (list.len() - 1) as u32
}
