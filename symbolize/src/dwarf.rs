//! Looking up lines in DWARF ("DWARF Debugging Information Format", version 5, sections 3.3 and 6.2).
//!
//! Nothing is indexed: the units that hold an address are read once, for all addresses together. That
//! takes no memory in proportion to the DWARF, and each step is counted against a clock, since hostile
//! DWARF refers to the same bytes again and again.

use crate::demangle::{cut, demangle};
use gimli::{
    AttributeValue, DebuggingInformationEntry, EndianSlice, LineProgramHeader, LittleEndian, Range,
};
use std::time::{Duration, Instant};

/// Functions of an instruction, at most.
pub const MAX_DEPTH: usize = 64;

/// Longest time that is spent on the lines of a backtrace.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Steps between two looks at the clock.
const STEPS: u32 = 256;

/// References from an entry to the one with its name.
const MAX_HOPS: usize = 8;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;
type Unit<'a> = gimli::Unit<Slice<'a>>;
type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The function, demangled.
    pub function: Option<String>,
    /// The file, relative to the folder where the compiler ran if it is inside of that.
    pub file: Option<String>,
    /// Line, from 1 on; zero if it is not known.
    pub line: u64,
    /// Column, from 1 on; zero if it is not known.
    pub column: u64,
}

/// The lines of the instructions at `addresses`, innermost first.
pub(crate) fn lines<'a>(
    section: impl Fn(&str) -> &'a [u8],
    addresses: &[Option<u64>],
) -> Vec<Vec<Line>> {
    let mut found = vec![Vec::new(); addresses.len()];
    let load = |id: gimli::SectionId| Ok(EndianSlice::new(section(id.name()), LittleEndian));
    let Ok(dwarf) = Dwarf::load::<_, gimli::Error>(load) else { return found };
    let mut search = Search { dwarf: &dwarf, until: Instant::now() + MAX_TIME, steps: 0 };
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        // A unit without sense says nothing about the others.
        let _ = search.step(STEPS).and_then(|()| {
            let unit = dwarf.unit(header).ok()?;
            search.unit(&unit, addresses, &mut found)
        });
        if search.is_over()
            || found.iter().zip(addresses).all(|(f, a)| a.is_none() || !f.is_empty())
        {
            break;
        }
    }
    found
}

/// A row of the line program, or the place of a call.
#[derive(Clone, Copy, Default)]
struct Place {
    file: u64,
    line: u64,
    column: u64,
}

/// A function that an address is in, with the place of its call if it was inlined.
struct Function {
    name: Option<String>,
    call: Place,
}

struct Search<'d, 'a> {
    dwarf: &'d Dwarf<'a>,
    until: Instant,
    steps: u32,
}

impl<'a> Search<'_, 'a> {
    /// Counts steps; `None` once the time is over.
    fn step(&mut self, count: u32) -> Option<()> {
        self.steps = self.steps.saturating_add(count);
        if self.steps >= STEPS {
            self.steps = 0;
            return (!self.is_over()).then_some(());
        }
        Some(())
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Finds the addresses that are in this unit.
    fn unit(
        &mut self,
        unit: &Unit<'a>,
        addresses: &[Option<u64>],
        found: &mut [Vec<Line>],
    ) -> Option<()> {
        let mut inside = vec![false; addresses.len()];
        let mut ranges = self.dwarf.unit_ranges(unit).ok()?;
        while let Some(range) = ranges.next().ok()? {
            self.step(1)?;
            for (inside, address) in inside.iter_mut().zip(addresses) {
                *inside |= address.is_some_and(|address| holds(range, address));
            }
        }
        let wanted: Vec<(usize, u64)> = (0..addresses.len())
            .filter(|index| inside[*index] && found[*index].is_empty())
            .filter_map(|index| Some((index, addresses[index]?)))
            .collect();
        if wanted.is_empty() {
            return Some(());
        }
        let mut chains: Vec<Vec<Function>> = wanted.iter().map(|_| Vec::new()).collect();
        // What was read before something made no sense is right.
        let _ = self.functions(unit, &wanted, &mut chains);
        let mut rows = vec![None; wanted.len()];
        let _ = self.rows(unit, &wanted, &mut rows);
        for (((index, _), chain), row) in wanted.iter().zip(chains).zip(rows) {
            found[*index] = self.assemble(unit, chain, row);
        }
        Some(())
    }

    /// The functions that hold each address, outermost first.
    fn functions(
        &mut self,
        unit: &Unit<'a>,
        wanted: &[(usize, u64)],
        chains: &mut [Vec<Function>],
    ) -> Option<()> {
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs().ok()? {
            self.step(1 + entry.attrs().len() as u32)?;
            let is_inlined = entry.tag() == gimli::DW_TAG_inlined_subroutine;
            if !is_inlined && entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            for (at, holds) in self.holding(unit, entry, wanted)?.into_iter().enumerate() {
                // An entry is inside of the last one that held the address.
                if !holds || chains[at].len() >= MAX_DEPTH || is_inlined && chains[at].is_empty() {
                    continue;
                }
                if !is_inlined {
                    chains[at].clear();
                }
                let name = self.name(unit, entry, MAX_HOPS);
                chains[at].push(Function { name, call: call_place(entry) });
            }
        }
        Some(())
    }

    /// Which addresses an entry's ranges hold.
    fn holding(
        &mut self,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
        wanted: &[(usize, u64)],
    ) -> Option<Vec<bool>> {
        let mut holding = vec![false; wanted.len()];
        // The ranges of one entry may make no sense.
        let Ok(mut ranges) = self.dwarf.die_ranges(unit, entry) else { return Some(holding) };
        while let Ok(Some(range)) = ranges.next() {
            self.step(1)?;
            for (holding, (_, address)) in holding.iter_mut().zip(wanted) {
                *holding |= holds(range, *address);
            }
        }
        Some(holding)
    }

    /// The name of a function: its own, or the one of the entry it refers to.
    fn name(&mut self, unit: &Unit<'a>, entry: &Entry<'a>, hops: usize) -> Option<String> {
        self.step(1)?;
        let text = |value| {
            let name = self.dwarf.attr_string(unit, value).ok()?;
            Some(name.to_string_lossy().into_owned())
        };
        let linkage = [gimli::DW_AT_linkage_name, gimli::DW_AT_MIPS_linkage_name];
        if let Some(symbol) = linkage.iter().find_map(|name| text(entry.attr_value(*name)?)) {
            return Some(demangle(&symbol).into_owned());
        }
        if let Some(name) = entry.attr_value(gimli::DW_AT_name).and_then(text) {
            return Some(cut(&name).to_owned());
        }
        let hops = hops.checked_sub(1)?;
        let referred = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification];
        match referred.iter().find_map(|name| entry.attr_value(*name))? {
            AttributeValue::UnitRef(offset) => {
                let entry = unit.entry(offset).ok()?;
                self.name(unit, &entry, hops)
            }
            AttributeValue::DebugInfoRef(offset) => {
                let (unit, offset) = self.unit_with(offset)?;
                let entry = unit.entry(offset).ok()?;
                self.name(&unit, &entry, hops)
            }
            _ => None,
        }
    }

    /// The unit that holds an entry.
    fn unit_with(
        &mut self,
        offset: gimli::DebugInfoOffset,
    ) -> Option<(Unit<'a>, gimli::UnitOffset)> {
        let mut units = self.dwarf.units();
        while let Some(header) = units.next().ok()? {
            self.step(1)?;
            if let Some(inside) = offset.to_unit_offset(&header) {
                return Some((self.dwarf.unit(header).ok()?, inside));
            }
        }
        None
    }

    /// The row of the line program for each address.
    fn rows(
        &mut self,
        unit: &Unit<'a>,
        wanted: &[(usize, u64)],
        found: &mut [Option<Place>],
    ) -> Option<()> {
        let mut rows = unit.line_program.clone()?.rows();
        // The row before, unless it ended a sequence or the sequence is of code that was left out.
        let mut last: Option<(u64, Place)> = None;
        let mut starts = true;
        let mut is_there = false;
        while let Some((_, row)) = rows.next_row().ok()? {
            self.step(1)?;
            if let Some((start, place)) = last {
                let range = Range { begin: start, end: row.address() };
                for ((_, address), found) in wanted.iter().zip(&mut *found) {
                    if found.is_none() && holds(range, *address) {
                        *found = Some(place);
                    }
                }
            }
            if starts {
                is_there = row.address() != 0;
            }
            starts = row.end_sequence();
            let place = Place {
                file: row.file_index(),
                line: row.line().map_or(0, |line| line.get()),
                column: match row.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => column.get(),
                },
            };
            last = (is_there && !starts).then_some((row.address(), place));
        }
        Some(())
    }

    /// The lines, innermost first: the place of a function is where it called the next one.
    fn assemble(&self, unit: &Unit<'a>, chain: Vec<Function>, row: Option<Place>) -> Vec<Line> {
        let mut place = row.unwrap_or_default();
        if chain.is_empty() && row.is_some() {
            return vec![self.line(unit, None, place)];
        }
        let mut lines = Vec::with_capacity(chain.len());
        for function in chain.into_iter().rev() {
            lines.push(self.line(unit, function.name, place));
            place = function.call;
        }
        lines
    }

    fn line(&self, unit: &Unit<'a>, function: Option<String>, place: Place) -> Line {
        let header = unit.line_program.as_ref().map(|program| program.header());
        let file = header.and_then(|header| self.file(unit, header, place.file));
        Line { function, file, line: place.line, column: place.column }
    }

    fn file(
        &self,
        unit: &Unit<'a>,
        header: &LineProgramHeader<Slice<'a>>,
        index: u64,
    ) -> Option<String> {
        let text = |value| Some(self.dwarf.attr_string(unit, value).ok()?.to_string_lossy());
        let file = header.file(index)?;
        let name = text(file.path_name())?;
        // The first directory is the one where the compiler ran.
        let directory = Some(file.directory_index()).filter(|index| *index != 0);
        let directory = directory.and_then(|_| text(file.directory(header)?));
        let path = match directory {
            Some(directory) if !name.starts_with('/') => format!("{}/{name}", cut(&directory)),
            _ => name.into_owned(),
        };
        Some(cut(&path).to_owned())
    }
}

/// Whether a range holds an address. The linker has the code that it left out start at zero.
fn holds(range: Range, address: u64) -> bool {
    range.begin != 0 && range.begin <= address && address < range.end
}

/// Where an inlined function was called.
fn call_place(entry: &Entry<'_>) -> Place {
    let number = |name| match entry.attr_value(name) {
        Some(AttributeValue::FileIndex(index)) => index,
        Some(value) => value.udata_value().unwrap_or(0),
        None => 0,
    };
    Place {
        file: number(gimli::DW_AT_call_file),
        line: number(gimli::DW_AT_call_line),
        column: number(gimli::DW_AT_call_column),
    }
}
