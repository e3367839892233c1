//! Choosing lengths and places.

use super::decode::SAVED;
use super::{Form, Item, Unit};
use std::cmp::Reverse;

/// Where innermost loops start, and what no jump may cross, in bytes: half a line of the cache, or
/// what the processor caches together once it is decoded.
const LINE: u32 = 32;

/// Constants keep their offset modulo this, since those of vectors may have to be at a multiple of
/// it, and the first of them need not be one of those.
const DATA_ALIGN: u32 = 16;

/// Prefixes that an instruction may get: more take some processors longer to decode.
const MOST_PREFIXES: u32 = 3;

/// The longest instruction there is.
const LONGEST: u32 = 15;

/// How often jumps are lengthened because their targets are too far away, before all are.
const MOST_TURNS: usize = 12;

/// Gives each item its place.
pub(super) fn place(unit: &mut Unit) {
    let items = &mut unit.items;
    let loops = innermost_loops(items);
    // The jumps that are short so far.
    let is_jump = |index: &usize| matches!(items[*index].form, Form::Jump { .. });
    let mut jumps: Vec<usize> = (0..items.len()).filter(is_jump).collect();
    // Jumps that are too far away even if nothing is filled are long from the start.
    let mut end = 0;
    for item in items.iter_mut() {
        (item.offset, item.size) = (end, size(item));
        end += item.size;
    }
    lengthen(items, &mut jumps, false);
    let mut first = Some(0);
    for turn in 0.. {
        let Some(changed) = first else { return };
        put(items, &loops, changed);
        first = lengthen(items, &mut jumps, turn >= MOST_TURNS);
    }
}

/// The first items of loops with neither loops nor calls in them: one that calls is as fast as what
/// it calls, and what fills the gap before it is run by each that calls it.
fn innermost_loops(items: &[Item]) -> Vec<usize> {
    // The last jump back to each.
    let mut ends: Vec<(usize, usize)> = Vec::new();
    for (index, item) in items.iter().enumerate().rev() {
        if let Form::Jump { target, .. } = item.form
            && target as usize <= index
        {
            ends.push((target as usize, index));
        }
    }
    // For each start, the furthest jump comes first.
    ends.sort_by_key(|(start, end)| (*start, Reverse(*end)));
    ends.dedup_by_key(|(start, _)| *start);
    let next = ends.iter().skip(1).map(|(start, _)| *start).chain([usize::MAX]);
    let calls = |(start, end): &(usize, usize)| {
        items[*start..*end].iter().any(|item| matches!(item.form, Form::Call))
    };
    let innermost = ends.iter().zip(next).filter(|(this, next)| *next > this.1 && !calls(this));
    innermost.map(|((start, _), _)| *start).collect()
}

/// Puts items one after the other, with the lengths that jumps have so far. All items before `changed` have their
/// lengths and places, but for those that a jump may have made longer.
fn put(items: &mut [Item], loops: &[usize], changed: usize) {
    let is_closed = |index: &usize| items[*index].is_target || items[*index - 1].form.is_jump();
    // Items before this one cannot be made longer any more: there is a jump between.
    let mut open = (1..=changed).rev().find(is_closed).unwrap_or(0);
    let first = open;
    let mut end = first.checked_sub(1).map_or(0, |last| items[last].offset + items[last].size);
    let mut loops =
        loops[loops.partition_point(|index| *index < first)..].iter().copied().peekable();
    for index in first..items.len() {
        let item = &mut items[index];
        // A jump may have become longer.
        item.size = match item.form {
            Form::Jump { .. } => size(item),
            _ => item.size - u32::from(item.prefixes),
        };
        (item.filling, item.prefixes) = (0, 0);
        item.offset = end;
        if item.is_target {
            open = index;
        }
        let gap = match item.form {
            Form::Data => item.start.wrapping_sub(end) % DATA_ALIGN,
            _ if loops.next_if_eq(&index).is_some() => end.next_multiple_of(LINE) - end,
            _ => 0,
        };
        fill(item, gap);
        if item.form.is_jump() {
            let first = match index.checked_sub(1) {
                Some(before) if item.form.is_conditional() && before >= open => {
                    if items[before].fuses { before } else { index }
                }
                _ => index,
            };
            keep_off_the_line(&mut items[open..=index], first - open);
            open = index + 1;
        }
        end = items[index].offset + items[index].size;
    }
}

fn fill(item: &mut Item, bytes: u32) {
    item.filling += bytes as u8; // less than a line
    item.offset += bytes;
}

/// Length without prefixes.
fn size(item: &Item) -> u32 {
    match item.form {
        Form::Narrow(_) | Form::Relative { narrow: Some(_), .. } => item.len - SAVED,
        Form::Jump { near: false, .. } => 2,
        Form::Jump { condition, near: true, .. } => 5 + u32::from(condition.is_some()),
        _ => item.len,
    }
}

/// Moves the last of `items`, a jump, and those from `first` on that are decoded with it, so that
/// they do not cross or touch the end of a line. Items before them get longer for that as far as
/// they can, since the processor does not count prefixes as instructions.
fn keep_off_the_line(items: &mut [Item], first: usize) {
    let Some(jump) = items.last() else { return };
    let (start, end) = (items[first].offset, jump.offset + jump.size);
    let mut missing = start.next_multiple_of(LINE) - start;
    if start / LINE == end / LINE || end - start >= LINE {
        return;
    }
    let mut moved = 0;
    for item in &mut items[..first] {
        item.offset += moved;
        let room = match item.form {
            Form::Plain | Form::Relocated | Form::Narrow(_) | Form::Relative { .. } => {
                MOST_PREFIXES.min(LONGEST.saturating_sub(item.size))
            }
            _ => 0,
        };
        let prefixes = room.min(missing);
        item.prefixes = prefixes as u8; // a few
        item.size += prefixes;
        moved += prefixes;
        missing -= prefixes;
    }
    items[first].filling += missing as u8; // less than a line
    for item in &mut items[first..] {
        item.offset += moved + missing;
    }
}

/// Makes those of `jumps` longer whose targets are too far away for a byte, or all of them. The first one that was, if
/// there were any.
fn lengthen(items: &mut [Item], jumps: &mut Vec<usize>, all: bool) -> Option<usize> {
    let mut first = None;
    jumps.retain(|index| {
        let Form::Jump { target, .. } = items[*index].form else { return false };
        let end = items[*index].offset + items[*index].size;
        let distance = i64::from(items[target as usize].offset) - i64::from(end);
        let is_short = !all && i8::try_from(distance).is_ok();
        if let Form::Jump { near, .. } = &mut items[*index].form {
            *near = !is_short;
        }
        if !is_short {
            first = first.or(Some(*index));
        }
        is_short
    });
    first
}
