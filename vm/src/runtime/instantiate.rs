//! Making an instance: slots for the module's images, index spaces, and the host context.

use crate::call::state::CallState;
use crate::runtime::error::Error;
use crate::runtime::global::GlobalInner;
use crate::runtime::instance::InstanceInner;
use crate::runtime::item::Item;
use crate::runtime::memory::MemoryInner;
use crate::runtime::module::Module;
use crate::runtime::objects::Objects;
use crate::runtime::shared::SharedMemory;
use crate::runtime::slot::{SlotTerms, growth};
use crate::runtime::table::TableInner;
use crate::runtime::types::{GlobalType, Limits, MemoryType, TableType};
use wfaas_abi::artifact::records::{GlobalRecord, TableRecord, limits};
use wfaas_abi::memories::{LEAD, record_count};
use wfaas_abi::state::{ELEMENT_BYTES, GLOBAL_BYTES, TABLE_SIZE_BYTES};
use wfaas_snapshot::Binding;

/// Type of the memory at BASE of an instance that has none there.
const NONE: MemoryType =
    MemoryType { limits: Limits { minimum: 0, maximum: Some(0) }, index64: false, shared: false };

impl Objects {
    /// Makes an instance whose imports are known to fit, with the module's image; nothing of the
    /// guest runs yet.
    pub(super) fn add_instance(
        &mut self,
        call: *mut CallState,
        module: &Module,
        imports: &[Item],
        terms: SlotTerms<'_>,
    ) -> Result<u32, Error> {
        let index = self.instances.len() as u32;
        let slots = self.add_slots(module, index, terms)?;
        let base = self.memories[slots[0] as usize].base();
        let mut instance = Box::new(InstanceInner {
            call,
            index,
            module: module.clone(),
            slots,
            base,
            imported_funcs: Vec::new(),
            records: None,
            tables: Vec::new(),
            memories: Vec::new(),
            globals: Vec::new(),
            tags: Vec::new(),
        });
        self.import(&mut instance, imports);
        self.check_guards(&instance)?;
        self.add_own_tags(&mut instance)?;
        let places = module.artifact().memory_places();
        let records = record_count(instance.memories.len(), &places);
        instance.memories.extend(places.iter().map(|place| instance.slots[*place]));
        self.write_host_context(&mut instance, records)?;
        self.add_own(&mut instance)?;
        self.instances.push(instance);
        Ok(index)
    }

    /// Fills the index spaces with the imports.
    fn import(&mut self, instance: &mut InstanceInner, imports: &[Item]) {
        for import in imports {
            match import {
                Item::Func(func) => instance.imported_funcs.push(*func),
                Item::Table(table) => instance.tables.push(*table),
                Item::Memory(memory) => instance.memories.push(*memory),
                Item::SharedMemory(memory) => instance.memories.push(self.shared_memory(memory)),
                Item::Global(global) => instance.globals.push(*global),
                Item::Tag(tag) => instance.tags.push(*tag),
            }
        }
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
            "importing a memory of a module with the bounds strategy none into one with {name} is \
             not supported"
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
    fn add_slots(
        &mut self,
        module: &Module,
        instance: u32,
        terms: SlotTerms<'_>,
    ) -> Result<Vec<u32>, Error> {
        let (tables, most) = (module.initial_table_bytes(), terms.most_bytes);
        self.check_start(module.initial_memory_bytes() - tables, tables)?;
        let artifact = module.artifact();
        let images = module.images()?;
        let mut types = vec![NONE; images.len()];
        for (record, place) in artifact.memories().iter().zip(artifact.memory_places()) {
            types[place] = MemoryType::of(record);
        }
        let (header, growth) = (artifact.header(), growth(artifact.bounds()));
        let (state, host) = (header.state_bytes.get() as usize, header.host_bytes.get() as usize);
        let mut slots = Vec::with_capacity(types.len());
        for (place, (image, ty)) in images.iter().zip(types).enumerate() {
            let (lead, head) = if place == 0 { (state, host) } else { (LEAD, 0) };
            let memory = if ty.shared {
                let memory =
                    SharedMemory::from_image(terms.source, image.clone(), ty, most, growth)?;
                MemoryInner::of_shared(memory, Some(instance))
            } else {
                let tracking = terms.tracking;
                let binding = Binding { image: image.clone(), lead, head, tracking, growth };
                MemoryInner::bound(terms.source, binding, ty, Some(instance))?
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
            if table.element().is_exn_ref() {
                self.check_exception_elements(table.size())?;
            }
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
