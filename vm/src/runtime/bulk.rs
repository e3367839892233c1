//! Bulk operations on memories and tables, as instances ask for them, by their index spaces.

use crate::runtime::error::{Error, without_frames};
use crate::runtime::objects::Objects;
use crate::runtime::store::StoreInner;
use wfaas_abi::artifact::records::ConstOp;
use wfaas_abi::{ArtifactError, TrapCode};

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
        let artifact = self.instances[instance as usize].module.artifact();
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

    pub(super) fn memory_init(
        &mut self,
        instance: u32,
        memory: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), Error> {
        let target = self.memory_range(instance, memory, dst, len)?;
        let bytes = self.data_bytes(instance, segment)?;
        let end = src.checked_add(len).filter(|end| *end <= bytes.len() as u64);
        end.ok_or_else(|| without_frames(TrapCode::MemoryOutOfBounds))?;
        let from = bytes[src as usize..].as_ptr();
        // SAFETY: `memory_range` found the target inside the memory, the source was just found
        // inside the segment, and a segment is in the artifact, not in the memory.
        unsafe { std::ptr::copy_nonoverlapping(from, target, len as usize) };
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

impl StoreInner {
    pub(super) fn table_init(
        &mut self,
        instance: u32,
        table: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), Error> {
        let table = self.objects.table_index(instance, table)?;
        let items = self.objects.elem_items(instance, segment)?;
        let end = src.checked_add(len).filter(|end| *end <= items.len() as u64);
        let end = end.ok_or_else(|| without_frames(TrapCode::TableOutOfBounds))?;
        self.objects.tables[table].check(dst, len).map_err(without_frames)?;
        let items = items[src as usize..end as usize].to_vec();
        let mut stack = Vec::new();
        for (item, at) in items.iter().zip(dst..) {
            self.check_due()?;
            self.objects.const_op(instance, item, &mut stack)?;
            let bits = stack.pop().map_or(0, |(low, _)| low);
            self.objects.table_set(instance, table, at, bits)?;
        }
        Ok(())
    }

    pub(super) fn table_copy(
        &mut self,
        (dst_table, dst): (usize, u64),
        (src_table, src): (usize, u64),
        len: u64,
    ) -> Result<(), Error> {
        if dst_table == src_table {
            return self.objects.tables[dst_table]
                .copy_within(dst, src, len)
                .map_err(without_frames);
        }
        self.objects.tables[src_table].check(src, len).map_err(without_frames)?;
        self.objects.tables[dst_table].check(dst, len).map_err(without_frames)?;
        let (from, to) =
            (self.objects.tables[src_table].owner(), self.objects.tables[dst_table].owner());
        let refs = self.objects.tables[src_table].element().is_func_ref();
        for at in 0..len {
            self.check_due()?;
            let bits = self.objects.tables[src_table].get(src + at).map_err(without_frames)?;
            let bits = if refs { self.objects.translate(bits, from, to)? } else { bits };
            self.objects.tables[dst_table].set(dst + at, bits).map_err(without_frames)?;
        }
        Ok(())
    }

    /// Ends an operation on many elements if the call under way has to end.
    fn check_due(&self) -> Result<(), Error> {
        self.call.interrupted().map_or(Ok(()), |code| Err(without_frames(code)))
    }
}
