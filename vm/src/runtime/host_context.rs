//! Writing an instance's host context: the absolute pointers that compiled code needs.

use crate::call::state::CallState;
use crate::runtime::error::Error;
use crate::runtime::hostcalls::HOSTCALL_TABLE;
use crate::runtime::instance::InstanceInner;
use crate::runtime::objects::Objects;
use crate::runtime::records::Records;
use std::mem::offset_of;
use wfaas_abi::ArtifactError;
use wfaas_abi::context::{
    FuncImport, GlobalImport, HostContext, HostLayout, ImportCounts, MemoryImport, TableImport,
    TagInstance,
};
use wfaas_abi::layout::MAX_HOST_BYTES;

impl Objects {
    /// Writes the host context: its fixed part, and records for the imports and for the first
    /// `memories` memories.
    pub(super) fn write_host_context(
        &mut self,
        instance: &mut InstanceInner,
        memories: usize,
    ) -> Result<(), Error> {
        let header = instance.module.artifact().header();
        let counts = ImportCounts {
            funcs: instance.imported_funcs.len() as u32,
            memories: memories as u32,
            tables: instance.tables.len() as u32,
            globals: instance.globals.len() as u32,
            tags: instance.tags.len() as u32,
        };
        let host_bytes = header.host_bytes.get() as usize;
        let layout = HostLayout::new(counts)
            .filter(|layout| layout.host_bytes == host_bytes)
            .ok_or(ArtifactError::Corrupt("the host context does not fit the imports"))?;
        debug_assert!(host_bytes <= MAX_HOST_BYTES);
        let start = -((header.state_bytes.get() as usize + host_bytes) as isize);
        let context = HostContext {
            instance: std::ptr::from_mut(instance) as u64,
            runtime: CallState::runtime_address(instance.call),
            text: instance.module.text_start() as u64,
            records: 0,
            hostcalls: HOSTCALL_TABLE.map(|hostcall| hostcall as u64),
        };
        let write = HostWriter { at: instance.base.wrapping_offset(start), bytes: host_bytes };
        write.put(0, context);
        for (index, func) in instance.imported_funcs.iter().enumerate() {
            let at = layout.funcs + index * size_of::<FuncImport>();
            write.put(at, self.func_import(*func)?);
        }
        for (index, memory) in instance.memories[..memories].iter().enumerate() {
            let memory = &self.memories[*memory as usize];
            let at = layout.memories + index * size_of::<MemoryImport>();
            let (base, pages) = (memory.base() as u64, memory.pages_cell() as u64);
            write.put(at, MemoryImport { base, pages });
        }
        for (index, table) in instance.tables.iter().enumerate() {
            let table = std::ptr::from_ref(&*self.tables[*table as usize]) as u64;
            write.put(layout.tables + index * size_of::<TableImport>(), TableImport { table });
        }
        for (index, global) in instance.globals.iter().enumerate() {
            let cell = self.globals[*global as usize].cell() as u64;
            write.put(layout.globals + index * size_of::<GlobalImport>(), GlobalImport { cell });
        }
        for (index, tag) in instance.tags.iter().enumerate() {
            let at = layout.tags + index * size_of::<TagInstance>();
            write.put(at, TagInstance { id: u64::from(*tag) });
        }
        Ok(())
    }
}

impl InstanceInner {
    /// Has its program go on with these frames, or with those of the artifact.
    pub(super) fn set_records(&mut self, records: Option<Records>) {
        let header = self.module.artifact().header();
        let host_bytes = header.host_bytes.get() as usize;
        let start = -((header.state_bytes.get() as usize + host_bytes) as isize);
        let write = HostWriter { at: self.base.wrapping_offset(start), bytes: host_bytes };
        write.put(offset_of!(HostContext, records), records.as_ref().map_or(0, Records::address));
        self.records = records;
    }
}

/// Writes records into the head of a slot.
struct HostWriter {
    at: *mut u8,
    bytes: usize,
}

impl HostWriter {
    fn put<R>(&self, offset: usize, record: R) {
        assert!(offset + size_of::<R>() <= self.bytes, "the host context has room for its records");
        // SAFETY: the head is mapped, page-aligned, and as long as `bytes`; the records are made
        // of u64, at multiples of eight.
        unsafe { self.at.wrapping_add(offset).cast::<R>().write(record) };
    }
}
