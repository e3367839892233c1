//! Putting machine code together again.

use super::{Form, Item, Narrow, Unit};
use crate::code::{Code, Site};

/// A prefix that does nothing: the code segment, whose base counts as zero.
const PREFIX: u8 = 0x2e;

/// Fills gaps that are never run, before constants.
const GAP: u8 = 0;

/// Instructions that do nothing, of one byte and more ("Intel 64 and IA-32 Architectures Software
/// Developer's Manual", volume 2, NOP).
const NOTHING: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// Replaces the code by `unit`, and moves everything that refers to places in it.
pub(super) fn write(code: &mut Code, unit: &Unit) {
    let mut places = Places { items: &unit.items, last: 0 };
    for relocation in &mut code.relocations {
        relocation.offset = places.inside(relocation.offset);
    }
    for site in &mut code.sites {
        site.offset = match site.trap {
            Some(_) => places.start(site.offset),
            None => places.end(site.offset + 1) - 1,
        };
    }
    for (index, site) in &unit.copied {
        code.sites.push(Site { offset: unit.items[*index as usize].offset, ..*site });
    }
    if !unit.copied.is_empty() {
        code.sites.sort_by_key(|site| site.offset);
    }
    for handler in &mut code.handlers {
        handler.return_offset = places.end(handler.return_offset);
        handler.handler_offset = places.start(handler.handler_offset);
    }
    for (offset, _) in &mut code.unwind {
        *offset = places.end(*offset);
    }
    for (offset, _) in &mut code.locations {
        *offset = places.start(*offset);
    }
    code.bytes = bytes(&code.bytes, unit);
}

/// Items to look through behind the one that was found last.
const NEAR: usize = 32;

/// Where things have gone.
struct Places<'u> {
    items: &'u [Item],
    /// The item that was found last: most things are asked for in order.
    last: usize,
}

impl Places<'_> {
    /// The item that an offset in the old code is in.
    fn item(&mut self, old: u32) -> &Item {
        let starts_by = |item: &Item| item.start <= old;
        let near = self.items[self.last..].iter().take(NEAR).take_while(|item| starts_by(item));
        self.last = match near.count() {
            count @ 1..NEAR => self.last + count - 1,
            _ => self.items.partition_point(starts_by).saturating_sub(1),
        };
        &self.items[self.last]
    }

    /// The start of the instruction that started there.
    fn start(&mut self, old: u32) -> u32 {
        self.item(old).offset
    }

    /// The end of the instruction that ended there.
    fn end(&mut self, old: u32) -> u32 {
        old.checked_sub(1).map_or(0, |last| {
            let item = self.item(last);
            item.offset + item.size
        })
    }

    /// A place inside of an instruction whose own bytes have not changed.
    fn inside(&mut self, old: u32) -> u32 {
        let item = self.item(old);
        item.offset + u32::from(item.prefixes) + (old - item.start)
    }
}

fn bytes(old: &[u8], unit: &Unit) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(old.len());
    // Items that stay as they are, one behind the other, are copied at once.
    let mut same = 0..0;
    for item in &unit.items {
        let (start, end) = (item.source as usize, (item.source + item.len) as usize);
        let is_moved = item.filling > 0 || item.prefixes > 0 || same.end != start;
        let is_same =
            matches!(item.form, Form::Plain | Form::Relocated | Form::Call | Form::Leaves);
        if is_same && !is_moved {
            same.end = end;
            continue;
        }
        bytes.extend_from_slice(&old[same]);
        same = end..end;
        match item.form {
            Form::Data => bytes.resize(item.offset as usize, GAP),
            _ => fill(&mut bytes, item.filling.into()),
        }
        bytes.extend(std::iter::repeat_n(PREFIX, item.prefixes.into()));
        let copy = &old[start..end];
        match item.form {
            Form::Plain | Form::Relocated | Form::Call | Form::Leaves | Form::Data | Form::Gone => {
                bytes.extend_from_slice(copy);
            }
            Form::Narrow(narrow) => push_narrow(&mut bytes, copy, narrow),
            Form::Relative { at, target, within, narrow } => {
                let from = bytes.len() + usize::from(at);
                match narrow {
                    Some(narrow) => push_narrow(&mut bytes, copy, narrow),
                    None => bytes.extend_from_slice(copy),
                }
                let distance = distance(item, unit.items[target as usize].offset + within);
                bytes[from..from + 4].copy_from_slice(&distance.to_le_bytes());
            }
            Form::Jump { condition, target, near } => {
                push_jump(
                    &mut bytes,
                    condition,
                    near,
                    distance(item, unit.items[target as usize].offset),
                );
            }
            Form::Table { first } => {
                let first = first as usize;
                for target in &unit.entries[first..first + copy.len() / 4] {
                    let entry = unit.items[*target as usize].offset.wrapping_sub(item.offset);
                    bytes.extend_from_slice(&entry.to_le_bytes());
                }
            }
        }
    }
    bytes.extend_from_slice(&old[same]);
    bytes
}

/// From the end of an instruction to a place, modulo 2^32 as the processor adds it.
fn distance(item: &Item, to: u32) -> u32 {
    to.wrapping_sub(item.offset + item.size)
}

fn fill(bytes: &mut Vec<u8>, mut count: usize) {
    while count > 0 {
        let nothing = NOTHING[count.min(NOTHING.len()) - 1];
        bytes.extend_from_slice(nothing);
        count -= nothing.len();
    }
}

fn push_narrow(bytes: &mut Vec<u8>, copy: &[u8], narrow: Narrow) {
    let start = bytes.len();
    bytes.extend_from_slice(&copy[..copy.len() - super::decode::SAVED as usize]);
    bytes[start + usize::from(narrow.at)] = narrow.opcode;
}

fn push_jump(bytes: &mut Vec<u8>, condition: Option<u8>, near: bool, distance: u32) {
    match (condition, near) {
        (Some(condition), true) => bytes.extend_from_slice(&[0x0f, 0x80 | condition]),
        (None, true) => bytes.push(0xe9),
        (Some(condition), false) => bytes.push(0x70 | condition),
        (None, false) => bytes.push(0xeb),
    }
    let distance = distance.to_le_bytes();
    bytes.extend_from_slice(if near { &distance } else { &distance[..1] });
}
