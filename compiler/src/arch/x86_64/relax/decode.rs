//! Taking machine code apart.

use super::{Form, Item, Narrow, Unit};
use crate::code::Code;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};
use std::cmp::Reverse;
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
    relocations.sort_unstable_by_key(|offset| Reverse(*offset));
    let mut reader = Reader {
        bytes: &code.bytes,
        decoder: Decoder::with_ip(64, &code.bytes, 0, DecoderOptions::NONE),
        items: Vec::with_capacity(code.bytes.len() / 4),
        tables: Vec::new(),
        pointed: BTreeSet::new(),
        tables_ahead: BTreeSet::new(),
        furthest: traps.last().copied().into_iter().chain(handlers).max().unwrap_or(0),
        starts: [blocks, &traps],
        relocations,
    };
    reader.read()?;
    reader.resolve(code)
}

struct Reader<'c> {
    bytes: &'c [u8],
    decoder: Decoder<'c>,
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
    /// The offsets of relocations from the next instruction on, the next one last.
    relocations: Vec<u32>,
}

impl Reader<'_> {
    /// Reads all items. Code ends where nothing leads any further; constants come last.
    fn read(&mut self) -> Option<()> {
        let mut instruction = Instruction::default();
        let mut goes_on = true;
        while goes_on {
            let start = self.position();
            self.decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                return None;
            }
            let form = self.form(&instruction, start)?;
            match form {
                Form::Relative { target, .. } => {
                    self.pointed.insert(target);
                    if instruction.mnemonic() == Mnemonic::Lea {
                        self.tables_ahead.insert(target);
                    }
                }
                Form::Jump { target, .. } => self.furthest = self.furthest.max(target),
                _ => {}
            }
            let len = instruction.len() as u32;
            self.push(start, len, form, fuses(instruction.mnemonic()));
            let flow = instruction.flow_control();
            if flow == FlowControl::Next {
                continue;
            }
            if flow == FlowControl::IndirectBranch && self.tables_ahead.remove(&(start + len)) {
                self.pointed.remove(&(start + len));
                self.table(start + len)?;
            }
            let ends = matches!(
                flow,
                FlowControl::UnconditionalBranch
                    | FlowControl::IndirectBranch
                    | FlowControl::Return
                    | FlowControl::Exception
            );
            goes_on = !ends || self.position() <= self.furthest;
        }
        let (end, total) = (self.position(), self.bytes.len() as u32);
        let data = self.pointed.first().copied().unwrap_or(total);
        if data < end || total <= data {
            return (data >= end).then_some(());
        }
        self.push(data, total - data, Form::Data, false);
        Some(())
    }

    fn position(&self) -> u32 {
        self.decoder.position() as u32 // the length fits, see `decode`
    }

    fn push(&mut self, start: u32, len: u32, form: Form, fuses: bool) {
        let is_target = false;
        let (offset, size, filling, prefixes) = (start, len, 0, 0);
        let source = start;
        let item =
            Item { start, source, len, form, is_target, fuses, offset, size, filling, prefixes };
        self.items.push(item);
    }

    fn form(&mut self, instruction: &Instruction, start: u32) -> Option<Form> {
        let len = instruction.len() as u32;
        let relocated = self.relocations.last().is_some_and(|offset| *offset < start + len);
        while self.relocations.last().is_some_and(|offset| *offset < start + len) {
            self.relocations.pop();
        }
        let bytes = self.bytes.get(start as usize..(start + len) as usize)?;
        let narrow = narrow(instruction, bytes).filter(|_| !relocated);
        match instruction.flow_control() {
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch if !relocated => {
                jump(instruction, bytes)
            }
            FlowControl::Next | FlowControl::Exception => {
                if relocated {
                    return Some(Form::Relocated);
                }
                if !instruction.is_ip_rel_memory_operand() {
                    return Some(narrow.map_or(Form::Plain, Form::Narrow));
                }
                let offsets = self.decoder.get_constant_offsets(instruction);
                let at = offsets.displacement_offset() as u8;
                let target = u32::try_from(instruction.ip_rel_memory_address()).ok()?;
                Some(Form::Relative { at, target, within: 0, narrow })
            }
            // Nothing is called or jumped to through a constant.
            _ if instruction.is_ip_rel_memory_operand() => None,
            FlowControl::Call | FlowControl::IndirectCall => Some(Form::Call),
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
        self.push(start, len, Form::Table { first: first as u32 }, false);
        self.decoder.set_position((start + len) as usize).ok()?;
        self.decoder.set_ip((start + len).into());
        Some(())
    }

    /// Replaces offsets by the items there.
    fn resolve(mut self, code: &Code) -> Option<Unit> {
        let starts: Vec<u32> = self.items.iter().map(|item| item.start).collect();
        let find = |offset: u32| starts.binary_search(&offset).ok();
        for index in 0..self.items.len() {
            match self.items[index].form {
                Form::Jump { condition, target, near } => {
                    let found = self.mark(find(target)?)?;
                    self.items[index].form = Form::Jump { condition, target: found, near };
                }
                Form::Relative { at, target: offset, narrow, .. } => {
                    // Constants keep their distances.
                    let found = starts.partition_point(|start| *start <= offset).checked_sub(1)?;
                    Some(()).filter(|()| self.items[found].form.is_data())?;
                    let (target, within) = (found as u32, offset - starts[found]);
                    self.items[index].form = Form::Relative { at, target, within, narrow };
                }
                _ => {}
            }
        }
        let tables = std::mem::take(&mut self.tables);
        let entries: Option<Vec<u32>> =
            tables.into_iter().map(|offset| self.mark(find(offset)?)).collect();
        let entries = entries?;
        for handler in &code.handlers {
            self.mark(find(handler.handler_offset)?)?;
        }
        Some(Unit { items: self.items, entries, copied: Vec::new() })
    }

    /// Notes that something leads to an item, which is code.
    fn mark(&mut self, index: usize) -> Option<u32> {
        let item = &mut self.items[index];
        item.is_target = true;
        (!item.form.is_data()).then_some(index as u32)
    }
}

/// A jump within the function.
fn jump(instruction: &Instruction, bytes: &[u8]) -> Option<Form> {
    let target = u32::try_from(instruction.near_branch_target()).ok()?;
    let condition = match *bytes {
        // The condition is the lower half of the opcode.
        [0x0f, opcode @ 0x80..=0x8f, ..] | [opcode @ 0x70..=0x7f, ..] => Some(opcode & 0xf),
        [0xe9 | 0xeb, ..] => None,
        _ => return None,
    };
    Some(Form::Jump { condition, target, near: false })
}

/// Whether some processor decodes an instruction of this kind and a conditional jump as one.
fn fuses(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Cmp
            | Mnemonic::Test
            | Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::And
            | Mnemonic::Inc
            | Mnemonic::Dec
    )
}

/// The shorter form of an instruction with a number of four bytes at its end.
fn narrow(instruction: &Instruction, bytes: &[u8]) -> Option<Narrow> {
    let mut at = 0;
    // Prefixes: a lock, then what widens registers.
    for prefixes in [0xf0..=0xf0, 0x40..=0x4f] {
        at += usize::from(prefixes.contains(bytes.get(at)?));
    }
    let opcode = match bytes.get(at)? {
        // add, or, adc, sbb, and, sub, xor, cmp
        0x81 => 0x83,
        // imul
        0x69 => 0x6b,
        _ => return None,
    };
    let last = instruction.op_count().checked_sub(1)?;
    if !matches!(instruction.op_kind(last), OpKind::Immediate32 | OpKind::Immediate32to64) {
        return None;
    }
    let number = i32::from_le_bytes(bytes.last_chunk::<4>().copied()?);
    i8::try_from(number).ok()?;
    Some(Narrow { at: at as u8, opcode })
}
