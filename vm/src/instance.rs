//! Instances: a module's code with state and memory of its own.

use crate::call::Callee;
use crate::capture::{Capture, capture};
use crate::error::Error;
use crate::exception::Tag;
use crate::func::{Func, FuncKind};
use crate::global::{Global, GlobalInner};
use crate::memory::{Memory, MemoryInner, growth};
use crate::module::Module;
use crate::shared::SharedMemory;
use crate::store::{AsContextMut, StoreInner};
use crate::table::{Table, TableInner};
use crate::typed::TypedFunc;
use crate::types::{ExternType, GlobalType, Limits, MemoryType, TableType};
use crate::values::WasmList;
use wfaas_abi::artifact::records::{
    ExternKind, FunctionRecord, GlobalRecord, TableRecord, TypeRecord, limits,
};
use wfaas_abi::memories::{LEAD, record_count};
use wfaas_abi::state::{ELEMENT_BYTES, GLOBAL_BYTES, TABLE_SIZE_BYTES};
use wfaas_abi::{ArtifactError, FuncRef};
use wfaas_snapshot::Binding;

/// What is at BASE of an instance without a memory there.
const NONE: MemoryType =
    MemoryType { limits: Limits { minimum: 0, maximum: Some(0) }, index64: false, shared: false };

/// An instance of a module in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    pub(crate) store: u32,
    pub(crate) index: u32,
}

/// Something a module imports or exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A table.
    Table(Table),
    /// A memory that is not shared.
    Memory(Memory),
    /// A shared memory.
    SharedMemory(SharedMemory),
    /// A global.
    Global(Global),
    /// A tag of exceptions.
    Tag(Tag),
}

/// What hostcalls get to know the calling instance by.
#[derive(Debug)]
pub(crate) struct InstanceInner {
    pub(crate) store: *mut StoreInner,
    pub(crate) index: u32,
    pub(crate) module: Module,
    /// Its slots by place, as indices into the store's memories: the first holds the state,
    /// whether or not the module has a memory there.
    pub(crate) slots: Vec<u32>,
    pub(crate) base: *mut u8,
    /// Of each function, table, memory and global of the index spaces, where it is in the store.
    pub(crate) imported_funcs: Vec<Func>,
    pub(crate) tables: Vec<u32>,
    pub(crate) memories: Vec<u32>,
    pub(crate) globals: Vec<u32>,
    pub(crate) tags: Vec<u32>,
}

impl InstanceInner {
    /// The records of function `index` and of its type.
    fn function(&self, index: u32) -> Result<(&FunctionRecord, &TypeRecord), ArtifactError> {
        let artifact = self.module.artifact();
        let function = artifact.functions().get(index as usize);
        let ty = function.and_then(|f| artifact.types().get(f.type_index.get() as usize));
        function.zip(ty).ok_or(ArtifactError::Corrupt("a function index is out of range"))
    }

    /// How to call function `index`.
    pub(crate) fn callee(&self, index: u32) -> Result<Callee, Error> {
        let (function, ty) = self.function(index)?;
        Ok(Callee {
            code: self.module.code_address(function.text_offset.get())?,
            base: self.base as usize,
            trampoline: self.module.code_address(ty.trampoline.get())?,
        })
    }

    /// A reference to function `index` in the instance's own terms.
    pub(crate) fn native_ref(&self, index: u32) -> Result<FuncRef, Error> {
        let (function, ty) = self.function(index)?;
        Ok(FuncRef::new(function.text_offset.get(), ty.id.get()))
    }

    /// The address `offset` bytes from BASE, if `bytes` from there are state.
    pub(crate) fn state_cell(&self, offset: i64, bytes: usize) -> Result<*mut u8, ArtifactError> {
        let state_bytes = self.module.artifact().header().state_bytes.get() as i64;
        if offset < -state_bytes || offset.saturating_add(bytes as i64) > 0 {
            return Err(ArtifactError::Corrupt(
                "a record refers to something outside of the state",
            ));
        }
        Ok(self.base.wrapping_offset(offset as isize))
    }
}

impl Instance {
    /// The export `name`.
    pub fn get_export(&self, store: &mut impl AsContextMut, name: &str) -> Option<Extern> {
        let store = store.inner_mut();
        let instance = self.inner(store);
        let (kind, index) = instance.module.find_export(name)?;
        store.extern_of(self.index, kind, index)
    }

    /// The function exported as `name`.
    pub fn get_func(&self, store: &mut impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The memory exported as `name`, if it is not shared.
    pub fn get_memory(&self, store: &mut impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The table exported as `name`.
    pub fn get_table(&self, store: &mut impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The global exported as `name`.
    pub fn get_global(&self, store: &mut impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// The function exported as `name`, with Rust's types.
    ///
    /// # Errors
    /// [`Error::Export`] if there is no such function, [`Error::TypeMismatch`] if its type is
    /// another.
    pub fn get_typed_func<P: WasmList, R: WasmList>(
        &self,
        store: &mut impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<P, R>, Error> {
        let missing = || Error::Export { name: name.into(), reason: "not a function".into() };
        self.get_func(store, name).ok_or_else(missing)?.typed(store)
    }

    /// The module.
    pub fn module<'a>(&self, store: &'a impl crate::AsContext) -> &'a Module {
        &self.inner(store.inner()).module
    }

    /// Captures state and memories as they are now: an image that new instances can start from.
    ///
    /// # Errors
    /// [`Error::Capture`] if they refer to something outside of the instance: host objects,
    /// exceptions, functions of others, anything imported but functions.
    pub fn capture(&self, store: &mut impl AsContextMut) -> Result<Capture, Error> {
        let store = store.inner_mut();
        store.check_id(self.store);
        capture(store, self.index)
    }

    fn inner<'a>(&self, store: &'a StoreInner) -> &'a InstanceInner {
        store.check_id(self.store);
        &store.instances[self.index as usize]
    }
}

impl Extern {
    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        if let Extern::Func(func) = self { Some(func) } else { None }
    }

    /// The shared memory, if it is one.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        if let Extern::SharedMemory(memory) = self { Some(memory) } else { None }
    }

    /// The memory, if it is one and not shared.
    pub fn into_memory(self) -> Option<Memory> {
        if let Extern::Memory(memory) = self { Some(memory) } else { None }
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        if let Extern::Table(table) = self { Some(table) } else { None }
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        if let Extern::Global(global) = self { Some(global) } else { None }
    }

    /// The tag, if it is one.
    pub fn into_tag(self) -> Option<Tag> {
        if let Extern::Tag(tag) = self { Some(tag) } else { None }
    }

    /// The type, with the present size as the minimum.
    pub fn ty(&self, store: &impl crate::AsContext) -> ExternType {
        match self {
            Extern::Func(func) => ExternType::Func(func.ty(store)),
            Extern::Table(table) => ExternType::Table(table.ty(store)),
            Extern::Memory(memory) => ExternType::Memory(memory.ty(store)),
            Extern::SharedMemory(memory) => ExternType::Memory(memory.ty()),
            Extern::Global(global) => ExternType::Global(global.ty(store)),
            Extern::Tag(tag) => ExternType::Tag(tag.ty(store)),
        }
    }
}

impl StoreInner {
    fn extern_of(&self, instance: u32, kind: ExternKind, index: u32) -> Option<Extern> {
        let (store, inner) = (self.id, &self.instances[instance as usize]);
        let at = |list: &Vec<u32>| list.get(index as usize).copied();
        Some(match kind {
            ExternKind::Func => match inner.imported_funcs.get(index as usize) {
                Some(imported) => Extern::Func(*imported),
                None => {
                    let known = (index as usize) < inner.module.artifact().functions().len();
                    let kind = FuncKind::Guest { instance, index };
                    known.then_some(Extern::Func(Func { store, kind }))?
                }
            },
            ExternKind::Table => Extern::Table(Table { store, index: at(&inner.tables)? }),
            ExternKind::Memory => {
                let index = at(&inner.memories)?;
                match self.memories[index as usize].shared() {
                    Some(memory) => Extern::SharedMemory(memory.clone()),
                    None => Extern::Memory(Memory { store, index }),
                }
            }
            ExternKind::Global => Extern::Global(Global { store, index: at(&inner.globals)? }),
            ExternKind::Tag => Extern::Tag(Tag { store, index: at(&inner.tags)? }),
        })
    }

    /// Makes an instance whose imports are known to fit, with the module's image; nothing of the
    /// guest runs yet.
    pub(crate) fn add_instance(
        &mut self,
        module: &Module,
        imports: &[Extern],
    ) -> Result<u32, Error> {
        let index = self.instances.len() as u32;
        let slots = self.add_slots(module, index)?;
        let base = self.memories[slots[0] as usize].base();
        let mut instance = Box::new(InstanceInner {
            store: self,
            index,
            module: module.clone(),
            slots,
            base,
            imported_funcs: Vec::new(),
            tables: Vec::new(),
            memories: Vec::new(),
            globals: Vec::new(),
            tags: Vec::new(),
        });
        for import in imports {
            match import {
                Extern::Func(func) => instance.imported_funcs.push(*func),
                Extern::Table(table) => instance.tables.push(table.index),
                Extern::Memory(memory) => instance.memories.push(memory.index),
                Extern::SharedMemory(memory) => {
                    instance.memories.push(self.shared_memory(memory));
                }
                Extern::Global(global) => instance.globals.push(global.index),
                Extern::Tag(tag) => instance.tags.push(tag.index),
            }
        }
        self.check_guards(&instance)?;
        self.add_own_tags(&mut instance)?;
        let places = module.artifact().memory_places();
        let records = record_count(instance.memories.len(), &places);
        instance.memories.extend(places.iter().map(|place| instance.slots[*place]));
        self.write_host_context(&mut instance, records)?;
        self.add_own(&mut instance)?;
        self.instances.push(instance);
        if !self.type_ids.is_empty() {
            self.add_type_ids(index as usize)?;
        }
        Ok(index)
    }

    /// Refuses imported memories without the guard that the module's code relies on.
    fn check_guards(&self, instance: &InstanceInner) -> Result<(), Error> {
        let strategy = instance.module.artifact().bounds();
        let guarded = |index: &u32| self.memories[*index as usize].has_guard();
        if !strategy.relies_on_guard() || instance.memories.iter().all(guarded) {
            return Ok(());
        }
        let name = strategy.name();
        let message = format!(
            "importing a memory of a module built with --bounds none into one built with \
             --bounds {name} is not supported"
        );
        Err(Error::Unsupported(message))
    }

    /// Makes the tags the module defines.
    fn add_own_tags(&mut self, instance: &mut InstanceInner) -> Result<(), Error> {
        let module = instance.module.clone();
        for record in module.artifact().tags() {
            self.tags.push(module.artifact().func_type(record.ty.get())?);
            instance.tags.push((self.tags.len() - 1) as u32);
        }
        Ok(())
    }

    /// The place of a shared memory among the store's memories.
    fn shared_memory(&mut self, memory: &SharedMemory) -> u32 {
        let known = self.memories.iter().position(|known| known.shared() == Some(memory));
        let index = known.unwrap_or_else(|| {
            self.memories.push(Box::new(MemoryInner::of_shared(memory.clone(), None)));
            self.memories.len() - 1
        });
        index as u32
    }

    /// Maps the module's images into slots of the instance to be, by place.
    fn add_slots(&mut self, module: &Module, instance: u32) -> Result<Vec<u32>, Error> {
        let (bytes, most) = (module.initial_memory_bytes(), self.engine.config().max_memory_bytes);
        if bytes > most {
            return Err(Error::Unsupported(format!("a memory of {bytes} bytes: too much here")));
        }
        let artifact = module.artifact();
        let mut types = vec![NONE; module.images().len()];
        for (record, place) in artifact.memories().iter().zip(artifact.memory_places()) {
            types[place] = MemoryType::of(record);
        }
        let (header, growth) = (artifact.header(), growth(artifact.bounds()));
        let (state, host) = (header.state_bytes.get() as usize, header.host_bytes.get() as usize);
        let mut slots = Vec::with_capacity(types.len());
        for (place, (image, ty)) in module.images().iter().zip(types).enumerate() {
            let (lead, head) = if place == 0 { (state, host) } else { (LEAD, 0) };
            let memory = if ty.shared {
                let memory = SharedMemory::from_image(&self.engine, image.clone(), ty, growth)?;
                MemoryInner::of_shared(memory, Some(instance))
            } else {
                let tracking = self.tracking;
                let binding = Binding { image: image.clone(), lead, head, tracking, growth };
                MemoryInner::new(&self.engine, binding, ty, Some(instance))?
            };
            self.memories.push(Box::new(memory));
            slots.push((self.memories.len() - 1) as u32);
        }
        Ok(slots)
    }

    /// Registers the tables and globals the module defines.
    fn add_own(&mut self, instance: &mut InstanceInner) -> Result<(), Error> {
        let module = instance.module.clone();
        let artifact = module.artifact();
        for record in artifact.tables() {
            let table = own_table(instance, record)?;
            self.tables.push(Box::new(table));
            instance.tables.push((self.tables.len() - 1) as u32);
        }
        for record in artifact.globals() {
            let global = own_global(instance, record)?;
            self.globals.push(Box::new(global));
            instance.globals.push((self.globals.len() - 1) as u32);
        }
        Ok(())
    }
}

fn own_table(instance: &InstanceInner, record: &TableRecord) -> Result<TableInner, Error> {
    let capacity = record.capacity.get();
    if record.minimum.get() > capacity {
        let message =
            format!("a table of {} elements: there is room for {capacity}", record.minimum);
        return Err(Error::Unsupported(message));
    }
    let bytes = (capacity as usize).saturating_mul(ELEMENT_BYTES);
    let elements = instance.state_cell(record.elements_offset.get().into(), bytes)?;
    let size = instance.state_cell(record.size_offset.get().into(), TABLE_SIZE_BYTES)?;
    let ty = TableType {
        element: instance.module.artifact().val_type(record.ty)?,
        limits: Limits::from_record(record.minimum.get(), record.maximum.get()),
        index64: record.limits.get() & limits::INDEX64 != 0,
    };
    // SAFETY: `state_cell` found both inside the state, which is mapped as long as the instance.
    Ok(unsafe { TableInner::in_state(elements.cast(), size.cast(), capacity, ty, instance.index) })
}

fn own_global(instance: &InstanceInner, record: &GlobalRecord) -> Result<GlobalInner, Error> {
    let cell = instance.state_cell(record.offset.get().into(), GLOBAL_BYTES)?;
    let content = instance.module.artifact().val_type(record.ty)?;
    let ty = GlobalType { content, mutable: record.mutable.get() != 0 };
    // SAFETY: `state_cell` found it inside the state, which is mapped as long as the instance.
    Ok(unsafe { GlobalInner::in_state(cell.cast(), ty, instance.index) })
}
