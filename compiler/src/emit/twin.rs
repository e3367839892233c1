//! Twins: a function as it goes on behind calls that it was in when its frames were recorded.
//!
//! ```text
//!   twin(record)                                     the function's own code
//!   | entry: locals ← record; which site?      |     | ...                            |
//!   |   ├─ site 0: operands ← record;          |     | call                           |
//!   |   │    call the twin of the next record ───┼──→| behind the call, with results  |
//!   |   └─ site 1: ...                         |     | ...                            |
//! ```
//!
//! Control enters the body behind a call, whatever blocks and loops are around it, so loops may have
//! several entries. Locals and operands are variables ([`Storage::Variables`](super::Storage)), and
//! the construction of SSA form finds their values on every path. The beginning of the body, which
//! nothing leads to, is removed with all other code that is not reached.

use super::FuncEmitter;
use super::Mapped;
use super::call::Callee;
use super::home::local_bytes;
use super::variable::Local;
use crate::CompileError;
use crate::continuation::{Alike, ENTRY_AT, HEADER_BYTES, RecordLayout, Site, Twin};
use crate::emit::builder::Region;
use crate::emit::signature::{self, POINTER};
use crate::emit::thunk::code_of_record;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{
    Block, InstBuilder, JumpTableData, MemFlagsData, StackSlot, Type, Value,
};
use wfaas_abi::continuation::OPERAND_BYTES;

/// The entries of the twin under translation.
pub(super) struct Entries<'c> {
    sites: &'c [Site],
    /// The address of its record.
    record: Value,
    /// The locals in it, which are at the same places for all sites, and the place behind them.
    locals: Vec<(u32, u32)>,
    operands_at: u32,
    /// Where the twin loads what it needs to go on at each site.
    blocks: Vec<Block>,
    /// The record of each site, once its call has been translated.
    layouts: Vec<Option<RecordLayout>>,
}

impl<'c> Entries<'c> {
    /// The layouts of the records, in the order of the sites.
    pub(super) fn into_layouts(self) -> Result<Vec<RecordLayout>, CompileError> {
        let layouts: Option<Vec<RecordLayout>> = self.layouts.into_iter().collect();
        layouts.ok_or_else(|| CompileError::Internal("a site is no call".to_owned()))
    }
}

impl<'c> FuncEmitter<'c> {
    /// Brings the locals home, goes to the site that the record names, and continues where the function would
    /// begin. A local that nothing writes to is one value then, whichever site control came from.
    pub(super) fn enter_record(&mut self, twin: &'c Twin, record: Value) {
        let (locals, operands_at) = self.load_locals(&twin.alike, record);
        let blocks: Vec<Block> =
            twin.sites.iter().map(|_| self.code.blocks().create_block()).collect();
        let flags = self.code.trusted(Region::Cells);
        let entry = self.code.ins().load(I32, flags, record, ENTRY_AT as i32);
        let pool = &mut self.code.blocks().func.dfg.value_lists;
        let calls: Vec<_> = blocks
            .iter()
            .map(|block| cranelift_codegen::ir::BlockCall::new(*block, [], pool))
            .collect();
        let (default, others) = calls.split_last().expect("a twin has a site");
        let table = JumpTableData::new(*default, others);
        let table = self.code.blocks().create_jump_table(table);
        self.code.ins().br_table(entry, table);
        let body = self.code.blocks().create_block();
        self.code.continue_in(body);
        let layouts = twin.sites.iter().map(|_| None).collect();
        let sites = &twin.sites;
        self.entries = Some(Entries { sites, record, locals, operands_at, blocks, layouts });
    }

    /// Brings locals home from the record, or as constants where all records have the same number: the place of each,
    /// and the one behind all.
    fn load_locals(&mut self, alike: &Alike, record: Value) -> (Vec<(u32, u32)>, u32) {
        let (mut at, mut locals) = (HEADER_BYTES, Vec::new());
        for (index, Local { home, ty }) in self.kept_locals() {
            // References have 64 bits.
            let known = if ty == I32 { alike.number(at - HEADER_BYTES) } else { None };
            let value = match known {
                Some(number) => self.code.ins().iconst(I32, i64::from(number as u32)),
                None => self.load_from_record(record, ty, at),
            };
            self.write(home, value);
            locals.push((index, at));
            at += local_bytes(ty);
        }
        (locals, at)
    }

    /// Before a call, of which the arguments were popped: the operands below have to be at home if the
    /// frame may be recorded, or if control may enter behind the call.
    pub(super) fn before_site(&mut self) {
        if self.recorded.is_some() || self.entry_here().is_some() {
            self.store_operands();
        }
        self.map_frame();
    }

    /// Copies locals and operands to the places that the stack map of this call names, if it has one.
    fn map_frame(&mut self) {
        let Some(Mapped { slots, sites }) = self.mapped else { return };
        if !sites.iter().any(|site| u64::from(site.offset) == self.offset) {
            return;
        }
        let mut at = 0;
        for (_, Local { home, ty }) in self.kept_locals() {
            let value = self.read(home, ty);
            self.write_slot(slots.locals, at, value);
            at += local_bytes(ty);
        }
        for place in 0..self.stack.len() {
            let value = self.operand(place);
            self.write_slot(slots.operands, place as u32 * OPERAND_BYTES, value);
        }
    }

    /// Writes to a slot that has no home of a local or an operand, and makes it as large as that needs.
    fn write_slot(&mut self, slot: StackSlot, at: u32, value: Value) {
        let end = at + local_bytes(self.code.type_of(value));
        let data = &mut self.code.blocks().func.sized_stack_slots[slot];
        data.size = data.size.max(end);
        let address = self.code.ins().stack_addr(POINTER, slot, at as i32);
        // Vectors follow other locals without a gap.
        self.code.ins().store(MemFlagsData::new().with_notrap(), value, address, 0);
    }

    /// Behind a call with these results: also the place to go on for a twin.
    pub(super) fn behind_site(&mut self, results: Vec<Value>) -> Result<Vec<Value>, CompileError> {
        let Some(entry) = self.entry_here() else { return Ok(results) };
        let types: Vec<Type> = results.iter().map(|value| self.code.type_of(*value)).collect();
        let done = self.block_with(&types);
        self.jump(done, &results);
        let block = self.entries.as_ref().expect("it has an entry here").blocks[entry];
        self.code.continue_in(block);
        let layout = self.load_operands(entry)?;
        self.map_frame();
        let resumed = self.call_next(&layout, &types);
        if let Some(entries) = &mut self.entries {
            entries.layouts[entry] = Some(layout);
        }
        self.jump(done, &resumed);
        self.code.continue_in(done);
        Ok(self.code.blocks().block_params(done).to_vec())
    }

    /// The entry of the twin behind the operator that is being translated.
    fn entry_here(&self) -> Option<usize> {
        let sites = self.entries.as_ref()?.sites;
        sites.iter().position(|site| u64::from(site.offset) == self.offset)
    }

    /// Brings operands home from the record.
    fn load_operands(&mut self, entry: usize) -> Result<RecordLayout, CompileError> {
        let entries = self.entries.as_ref().expect("the caller looked");
        let (record, site) = (entries.record, entries.sites[entry]);
        let (locals, operands_at) = (entries.locals.clone(), entries.operands_at);
        let types = self.operand_types();
        if types.len() != site.operands as usize {
            return Err(site.error("an exception that was caught in a legacy way is under way"));
        }
        let mut at = operands_at;
        for (place, ty) in types.into_iter().enumerate() {
            let value = self.load_from_record(record, ty, at);
            let home = self.operand_home(place, ty);
            self.write(home, value);
            at += OPERAND_BYTES;
        }
        Ok(RecordLayout { locals, operands_at, bytes: at })
    }

    fn load_from_record(&mut self, record: Value, ty: Type, at: u32) -> Value {
        let flags = self.code.trusted(Region::Cells);
        self.code.ins().load(ty, flags, record, at as i32)
    }

    /// Calls the code that the record behind this one names; the results.
    fn call_next(&mut self, layout: &RecordLayout, results: &[Type]) -> Vec<Value> {
        let record = self.entries.as_ref().expect("the caller looked").record;
        let next = self.code.ins().iadd_imm_s(record, i64::from(layout.bytes));
        let address = code_of_record(&mut self.code, next);
        let signature = signature::continued_signature(results);
        let signature = self.code.import_signature(signature);
        self.call(Callee::Address(signature, address), &[next])
    }

    /// A twin takes none of its function's parameters: zeros, in the place of them.
    pub(super) fn no_arguments(&mut self, types: &[Type]) -> Result<Vec<Value>, CompileError> {
        types.iter().map(|ty| self.zero(*ty)).collect()
    }
}
