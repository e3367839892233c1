//! Taking machine code apart.

use super::instruction::{Flow, Instruction, read};
use super::{Form, Item, Unit};
use crate::code::Code;
use std::collections::BTreeSet;

/// Bytes that a shorter number saves.
pub(super) const SAVED: u32 = 3;

/// The code's items, or None if there is anything in it that is not understood.
pub(super) fn decode(code: &Code, blocks: &[u32]) -> Option<Unit> {
    u32::try_from(code.bytes.len()).ok()?;
    let traps = code.sites.iter().filter(|site| site.trap.is_some()).map(|site| site.offset);
    let traps: Vec<u32> = traps.collect();
    let handlers = code.handlers.iter().map(|handler| handler.handler_offset);
    let mut relocations: Vec<u32> = code.relocations.iter().map(|known| known.offset).collect();
    relocations.sort_unstable();
    let mut reader = Reader {
        bytes: &code.bytes,
        position: 0,
        items: Vec::with_capacity(code.bytes.len() / 4),
        tables: Vec::new(),
        pointed: BTreeSet::new(),
        tables_ahead: BTreeSet::new(),
        furthest: traps.last().copied().into_iter().chain(handlers).max().unwrap_or(0),
        starts: [blocks, &traps],
        relocations,
        relocated: 0,
    };
    reader.read()?;
    reader.resolve(code)
}

struct Reader<'c> {
    bytes: &'c [u8],
    /// The end of what was read.
    position: u32,
    /// The items read so far; targets are still offsets in the old code.
    items: Vec<Item>,
    /// Where the entries of tables lead.
    tables: Vec<u32>,
    /// Where instructions point to: tables that have not been read yet, and constants.
    pointed: BTreeSet<u32>,
    /// The pointed places that are tables: their address is taken, and constants are read at once.
    tables_ahead: BTreeSet<u32>,
    /// The furthest offset known to be code.
    furthest: u32,
    /// Where code starts after a table: at a block, or at a trap. Both ascend.
    starts: [&'c [u32]; 2],
    /// The offsets of relocations, ascending, and how many of them lie before the next instruction.
    relocations: Vec<u32>,
    relocated: usize,
}

impl Reader<'_> {
    /// Reads all items. Code ends where nothing leads any further; constants come last.
    fn read(&mut self) -> Option<()> {
        let mut goes_on = true;
        while goes_on {
            let start = self.position;
            let instruction = read(self.bytes.get(start as usize..)?)?;
            self.position += instruction.len;
            let form = self.form(&instruction, start)?;
            match form {
                Form::Relative { target, .. } => {
                    self.pointed.insert(target);
                    if instruction.is_lea {
                        self.tables_ahead.insert(target);
                    }
                }
                Form::Jump { target, .. } => self.furthest = self.furthest.max(target),
                _ => {}
            }
            self.push(start, instruction.len, form, instruction.fuses);
            let table = self.position;
            if instruction.flow == Flow::Indirect && self.tables_ahead.remove(&table) {
                self.pointed.remove(&table);
                self.table(table)?;
            }
            let ends = match instruction.flow {
                Flow::Jump { condition, .. } => condition.is_none(),
                Flow::Indirect | Flow::Return | Flow::Fault => true,
                Flow::Next | Flow::Call | Flow::Stop => false,
            };
            goes_on = !ends || self.position <= self.furthest;
        }
        let (end, total) = (self.position, self.bytes.len() as u32);
        let data = self.pointed.first().copied().unwrap_or(total);
        if data < end || total <= data {
            return (data >= end).then_some(());
        }
        self.push(data, total - data, Form::Data, false);
        Some(())
    }

    fn push(&mut self, start: u32, len: u32, form: Form, fuses: bool) {
        let is_target = false;
        let (offset, size, filling, prefixes) = (start, len, 0, 0);
        let item = Item { start, len, form, is_target, fuses, offset, size, filling, prefixes };
        self.items.push(item);
    }

    fn form(&mut self, instruction: &Instruction, start: u32) -> Option<Form> {
        let end = start + instruction.len;
        while self.relocations.get(self.relocated).is_some_and(|offset| *offset < start) {
            self.relocated += 1;
        }
        let relocated = self.relocations.get(self.relocated).is_some_and(|offset| *offset < end);
        let narrow = instruction.narrow.filter(|_| !relocated);
        match (instruction.flow, instruction.relative) {
            (Flow::Jump { condition, distance }, _) if !relocated => {
                let target = end.checked_add_signed(distance)?;
                Some(Form::Jump { condition, target, near: false })
            }
            (Flow::Next | Flow::Fault, Some((at, distance))) if !relocated => {
                let target = end.checked_add_signed(distance)?;
                Some(Form::Relative { at, target, within: 0, narrow })
            }
            (Flow::Next | Flow::Fault, _) => Some(narrow.map_or(Form::Plain, Form::Narrow)),
            // Nothing is called or jumped to through a constant.
            (_, Some(_)) => None,
            (Flow::Call, _) => Some(Form::Call),
            _ => Some(Form::Leaves),
        }
    }

    /// Reads a table of distances, which ends where code goes on or constants start.
    fn table(&mut self, start: u32) -> Option<()> {
        let code = self.starts.iter().filter_map(|starts| {
            let next = starts.partition_point(|offset| *offset <= start);
            starts.get(next).copied()
        });
        let pointed = self.pointed.range(start + 1..).next().copied();
        let end = code.chain(pointed).chain([self.bytes.len() as u32]).min()?;
        let first = self.tables.len();
        for entry in self.bytes.get(start as usize..end as usize)?.as_chunks().0 {
            let distance = i32::from_le_bytes(*entry);
            if distance == 0 {
                // Before constants, there may be a gap.
                break;
            }
            let target = start.checked_add_signed(distance)?;
            self.furthest = self.furthest.max(target);
            self.tables.push(target);
        }
        let len = (self.tables.len() - first) as u32 * 4;
        Some(()).filter(|()| len > 0)?;
        self.push(start, len, Form::Table { first }, false);
        self.position = start + len;
        Some(())
    }

    /// Replaces offsets by the items there.
    fn resolve(mut self, code: &Code) -> Option<Unit> {
        const NONE: u32 = u32::MAX;
        let mut at = vec![NONE; self.bytes.len() + 1];
        for (index, item) in (0..).zip(&self.items) {
            at[item.start as usize] = index;
        }
        let find = |offset: u32| at.get(offset as usize).copied().filter(|index| *index != NONE);
        // They are in order, and few.
        let is_data = |item: &&Item| matches!(item.form, Form::Table { .. } | Form::Data);
        let data = self.items.iter().filter(is_data).map(|item| (item.start, item.len));
        let data: Vec<(u32, u32)> = data.collect();
        let mut targets = Vec::new();
        for item in &mut self.items {
            match &mut item.form {
                Form::Jump { target, .. } => {
                    *target = find(*target)?;
                    targets.push(*target);
                }
                Form::Relative { target, within, .. } => {
                    // Constants keep their distances.
                    let before = data.partition_point(|(start, _)| *start <= *target);
                    let (start, len) = data[before.checked_sub(1)?];
                    *within = *target - start;
                    *target = find(start).filter(|_| *within < len)?;
                }
                _ => {}
            }
        }
        let entries: Option<Vec<u32>> = self.tables.iter().map(|offset| find(*offset)).collect();
        let entries = entries?;
        for handler in &code.handlers {
            targets.push(find(handler.handler_offset)?);
        }
        for target in targets.iter().chain(&entries) {
            let item = &mut self.items[*target as usize];
            item.is_target = true;
            Some(()).filter(|()| !matches!(item.form, Form::Table { .. } | Form::Data))?;
        }
        Some(Unit { items: self.items, entries })
    }
}
