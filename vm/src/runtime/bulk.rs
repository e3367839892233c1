//! Bulk operations on memories and tables, as instances ask for them, by their index spaces.

use crate::runtime::bulk_rest::Bulk;
use crate::runtime::error::{Error, without_frames};
use crate::runtime::objects::Objects;
use wfaas_abi::artifact::records::ConstOp;
use wfaas_abi::{Artifact, ArtifactError, TrapCode};

/// The address of a segment's `dropped` byte, inside the state of an instance of the store.
struct Dropped(*mut u8);

impl Dropped {
    fn get(&self) -> bool {
        // SAFETY: `dropped_cell` found it inside the state, mapped as long as the instance.
        unsafe { self.0.read() != 0 }
    }

    fn set(&self) {
        // SAFETY: as in `get`.
        unsafe { self.0.write(1) };
    }
}

impl Objects {
    pub(super) fn memory_index(&self, instance: u32, memory: u32) -> Result<usize, Error> {
        let list = &self.instances[instance as usize].memories;
        let index = list.get(memory as usize).ok_or(ArtifactError::Corrupt("no such memory"))?;
        Ok(*index as usize)
    }

    pub(super) fn table_index(&self, instance: u32, table: u32) -> Result<usize, Error> {
        let list = &self.instances[instance as usize].tables;
        let index = list.get(table as usize).ok_or(ArtifactError::Corrupt("no such table"))?;
        Ok(*index as usize)
    }

    pub(super) fn global_index(&self, instance: u32, global: u32) -> Result<usize, Error> {
        let list = &self.instances[instance as usize].globals;
        let index = list.get(global as usize).ok_or(ArtifactError::Corrupt("no such global"))?;
        Ok(*index as usize)
    }

    /// The bytes of a data segment, empty once it has been dropped; their address stays valid as
    /// long as the module.
    pub(super) fn data_bytes(&self, instance: u32, segment: u32) -> Result<&[u8], Error> {
        let artifact = self.instances[instance as usize].module.artifact();
        let Some(record) = artifact.data_segments().get(segment as usize) else { return Ok(&[]) };
        let dropped = self.dropped_cell(instance, artifact.header().data_dropped.get(), segment)?;
        if dropped.get() { Ok(&[]) } else { Ok(artifact.data(record.bytes)?) }
    }

    pub(super) fn drop_data(&mut self, instance: u32, segment: u32) -> Result<(), Error> {
        let header = self.instances[instance as usize].module.artifact().header();
        self.dropped_cell(instance, header.data_dropped.get(), segment)?.set();
        Ok(())
    }

    /// The items of an element segment, none once it has been dropped.
    pub(super) fn elem_items(&self, instance: u32, segment: u32) -> Result<&[ConstOp], Error> {
        self.items_in(self.instances[instance as usize].module.artifact(), instance, segment)
    }

    /// The same of an instance's artifact, so that the store can be changed meanwhile.
    fn items_in<'a>(
        &self,
        artifact: Artifact<'a>,
        instance: u32,
        segment: u32,
    ) -> Result<&'a [ConstOp], Error> {
        let Some(record) = artifact.elem_segments().get(segment as usize) else { return Ok(&[]) };
        let dropped = self.dropped_cell(instance, artifact.header().elem_dropped.get(), segment)?;
        if dropped.get() { Ok(&[]) } else { Ok(artifact.const_ops(record.items)?) }
    }

    pub(super) fn drop_elem(&mut self, instance: u32, segment: u32) -> Result<(), Error> {
        let header = self.instances[instance as usize].module.artifact().header();
        self.dropped_cell(instance, header.elem_dropped.get(), segment)?.set();
        Ok(())
    }

    /// The `dropped` byte of a segment; the header has `first`, the byte of segment 0.
    fn dropped_cell(&self, instance: u32, first: u32, segment: u32) -> Result<Dropped, Error> {
        let offset = i64::from(first as i32) + i64::from(segment);
        Ok(Dropped(self.instances[instance as usize].state_cell(offset, 1)?))
    }

    /// `memory.init`, if both ranges are inside.
    pub(super) fn memory_init(
        &self,
        instance: u32,
        memory: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<Bulk, Error> {
        let to = self.memory_range(instance, memory, dst, len)?;
        let bytes = self.data_bytes(instance, segment)?;
        let end = src.checked_add(len).filter(|end| *end <= bytes.len() as u64);
        end.ok_or_else(|| without_frames(TrapCode::MemoryOutOfBounds))?;
        // A segment is in the artifact, not in the memory.
        let from = bytes[src as usize..].as_ptr();
        Ok(Bulk::CopyForward { to, from, len: len as usize })
    }

    /// `memory.copy`, if both ranges are inside.
    pub(super) fn memory_copy(
        &self,
        instance: u32,
        (dst_memory, dst): (u32, u64),
        (src_memory, src): (u32, u64),
        len: u64,
    ) -> Result<Bulk, Error> {
        let to = self.memory_range(instance, dst_memory, dst, len)?;
        let from = self.memory_range(instance, src_memory, src, len)?;
        Ok(Bulk::copy(to, from, len as usize))
    }

    /// `table.init`, if both ranges are inside.
    pub(super) fn table_init(
        &self,
        instance: u32,
        table: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<Bulk, Error> {
        let table = self.table_index(instance, table)?;
        let items = self.elem_items(instance, segment)?;
        let end = src.checked_add(len).filter(|end| *end <= items.len() as u64);
        end.ok_or_else(|| without_frames(TrapCode::TableOutOfBounds))?;
        self.tables[table].check(dst, len).map_err(without_frames)?;
        Ok(Bulk::TableInit { instance, table, segment, dst, src, len })
    }

    pub(super) fn table_init_piece(
        &mut self,
        instance: u32,
        (table, dst): (usize, u64),
        (segment, src): (u32, u64),
        len: u64,
    ) -> Result<(), Error> {
        let module = self.instances[instance as usize].module.clone();
        let items = self.items_in(module.artifact(), instance, segment)?;
        for (item, at) in items[src as usize..(src + len) as usize].iter().zip(dst..) {
            let (bits, _) = self.const_value(instance, item, &mut Vec::new())?;
            self.table_set(instance, table, at, bits)?;
        }
        Ok(())
    }

    /// `table.copy`, if both ranges are inside.
    pub(super) fn table_copy(
        &self,
        to: (usize, u64),
        from: (usize, u64),
        len: u64,
    ) -> Result<Bulk, Error> {
        self.tables[from.0].check(from.1, len).map_err(without_frames)?;
        self.tables[to.0].check(to.1, len).map_err(without_frames)?;
        if to.0 == from.0 {
            return Ok(Bulk::TableMove { table: to.0, dst: to.1, src: from.1, len });
        }
        Ok(Bulk::TableCopy { to, from, len })
    }

    pub(super) fn table_copy_piece(
        &mut self,
        (dst_table, dst): (usize, u64),
        (src_table, src): (usize, u64),
        len: u64,
    ) -> Result<(), Error> {
        let (from, to) = (self.tables[src_table].owner(), self.tables[dst_table].owner());
        let refs = self.tables[src_table].element().is_func_ref();
        for at in 0..len {
            let bits = self.tables[src_table].get(src + at).map_err(without_frames)?;
            let bits = if refs { self.translate(bits, from, to)? } else { bits };
            self.tables[dst_table].set(dst + at, bits).map_err(without_frames)?;
        }
        Ok(())
    }

    /// The address of a range of a memory. If the memory is shared, guests on other threads may
    /// change it at any time: copying then yields some mix of old and new bytes, as their own
    /// accesses would, and no reference may be made of the address.
    pub(super) fn memory_range(
        &self,
        instance: u32,
        memory: u32,
        at: u64,
        len: u64,
    ) -> Result<*mut u8, Error> {
        let memory = &self.memories[self.memory_index(instance, memory)?];
        let end = at.checked_add(len).filter(|end| *end <= memory.bytes() as u64);
        end.ok_or_else(|| without_frames(TrapCode::MemoryOutOfBounds))?;
        Ok(memory.base().wrapping_add(at as usize))
    }

    /// Sets an element of the store's table `table`, given in `instance`'s terms.
    pub(super) fn table_set(
        &mut self,
        instance: u32,
        table: usize,
        at: u64,
        bits: u64,
    ) -> Result<(), Error> {
        let bits = self.table_bits(instance, table, bits)?;
        self.tables[table].set(at, bits).map_err(without_frames)
    }

    /// A value that is in `instance`'s terms, translated to the terms of the store's table `table`.
    pub(super) fn table_bits(
        &mut self,
        instance: u32,
        table: usize,
        bits: u64,
    ) -> Result<u64, Error> {
        let (element, owner) = (self.tables[table].element(), self.tables[table].owner());
        if element.is_func_ref() {
            return self.translate(bits, Some(instance), owner);
        }
        Ok(bits)
    }
}
