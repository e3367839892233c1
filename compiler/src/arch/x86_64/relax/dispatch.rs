//! Threaded dispatch: a jump through a table in the place of jumps to it.
//!
//! An interpreter in WebAssembly is a loop around a branch table. The head of the loop reads the next instruction and jumps through the
//! table; the code of each instruction ends with a jump back to the head. So all instructions share one indirect jump, which the processor has to predict.
//! Here each jump to a short head is replaced by a copy of the head, as compilers do for threaded code in C
//! (M. A. Ertl and D. Gregg, "The Structure and Performance of Efficient Interpreters", 2003).
//!
//! Machine code is the place for it: behind register allocation nothing has to be merged on the way from each copy to each entry of the
//! table, and one table is enough for all copies. A copy's faults are at the position of the instruction that it is a copy of; in a
//! disassembly it belongs to the jump that it replaces.

use super::{Form, Item, Unit};
use crate::code::{Code, Site};
use std::ops::Range;

/// The most bytes of a copy.
const LONGEST: u32 = 128;

/// The fewest jumps that are worth copies: with less, a switch is no interpreter's.
const FEWEST: usize = 4;

/// `ud2`, which leads nowhere.
const TRAP: [u8; 2] = [0x0f, 0x0b];

/// Puts heads in the place of jumps to them, as long as the function gets three times as long at most.
pub(super) fn replicate(code: &Code, unit: &mut Unit) {
    let heads = heads(code, &unit.items);
    if heads.is_empty() {
        return;
    }
    let mut room = 2 * code.bytes.len();
    let mut places = Vec::with_capacity(unit.items.len());
    let mut items: Vec<Item> = Vec::with_capacity(unit.items.len());
    for item in &unit.items {
        places.push(items.len() as u32);
        let copied = jumps_into(&heads, item).map(|(head, target)| target..heads[head].end);
        let copied = copied.filter(|copied| length(&unit.items, copied) as usize <= room);
        let Some(copied) = copied else {
            items.push(item.clone());
            continue;
        };
        room -= length(&unit.items, &copied) as usize;
        let mut stands_for = Item { form: Form::Plain, ..*item };
        for copy in &unit.items[copied] {
            unit.copied.extend(fault(code, copy).map(|site| (items.len() as u32, site)));
            let Item { start, is_target, .. } = stands_for;
            items.push(Item { start, is_target, ..copy.clone() });
            // The others are inside of the jump, which leaves its start to the first one.
            (stands_for.start, stands_for.is_target) = (item.start + 1, false);
        }
    }
    for item in &mut items {
        if let Form::Jump { target, .. } | Form::Relative { target, .. } = &mut item.form {
            *target = places[*target as usize];
        }
    }
    for entry in &mut unit.entries {
        *entry = places[*entry as usize];
    }
    unit.items = items;
}

/// The head that a jump leads into, and the item that it leads to.
fn jumps_into(heads: &[Range<usize>], item: &Item) -> Option<(usize, usize)> {
    let Form::Jump { condition: None, target, .. } = item.form else { return None };
    let target = target as usize;
    let head = heads.partition_point(|head| head.end <= target);
    heads.get(head)?.contains(&target).then_some((head, target))
}

/// Bytes of items that have one behind them.
fn length(items: &[Item], range: &Range<usize>) -> u32 {
    items[range.end].start - items[range.start].start
}

/// The place of an instruction that may fault.
fn fault(code: &Code, item: &Item) -> Option<Site> {
    let at = code.sites.partition_point(|site| site.offset < item.start);
    code.sites.get(at).filter(|site| site.offset == item.start).copied()
}

/// Heads that enough jumps lead into, ascending.
fn heads(code: &Code, items: &[Item]) -> Vec<Range<usize>> {
    let is_table = |index: &usize| matches!(items[*index].form, Form::Table { .. });
    let ends = (1..items.len()).filter(is_table);
    let mut heads: Vec<Range<usize>> = ends.map(|end| start(code, items, end)..end).collect();
    let mut jumps = vec![0; heads.len()];
    if !heads.is_empty() {
        let into = items.iter().filter_map(|item| jumps_into(&heads, item));
        into.for_each(|(head, _)| jumps[head] += 1);
    }
    let mut jumps = jumps.into_iter();
    heads.retain(|_| jumps.next().is_some_and(|jumps| jumps >= FEWEST));
    heads
}

/// The first item from which code leads to the jump before the table `end`, or elsewhere on a condition.
fn start(code: &Code, items: &[Item], end: usize) -> usize {
    let stays = |item: &&Item| {
        let may_move = matches!(
            item.form,
            Form::Plain
                | Form::Narrow(_)
                | Form::Relative { .. }
                | Form::Jump { condition: Some(_), .. }
        );
        let traps = code.bytes[item.start as usize..].starts_with(&TRAP);
        may_move && !traps && items[end].start - item.start <= LONGEST
    };
    end - 1 - items[..end - 1].iter().rev().take_while(stays).count()
}
