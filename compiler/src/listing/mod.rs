//! Listings: a function's operators, each with its intermediate and machine code.
//!
//! ```text
//!    what                    offset  from
//!    row                     0x2a    i32.load offset=8
//!      intermediate code             as translated, before any pass
//!      machine code                  as in the artifact, but for the addresses of other pieces
//! ```
//!
//! Instructions of an inlined function belong to the call in whose place they are. Those that come from
//! no operator, like the prologue, are in the first row.

mod operator;

use crate::CompileError;
use crate::code::Code;
use crate::front::module::Module;
use crate::front::names;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};
use std::collections::BTreeMap;
use wasmparser::FunctionBody;

/// A function, operator by operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its name, or `func[INDEX]`.
    pub name: String,
    /// The code of no operator, then the operators in the order of the module.
    pub rows: Vec<Row>,
}

/// An operator and its code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Offset of the operator in the module, in bytes; `None` for code of no operator.
    pub offset: Option<u64>,
    /// The operator in WebAssembly's text format, roughly.
    pub wasm: String,
    /// Blocks within the function around the operator.
    pub depth: usize,
    /// Lines of Cranelift's text format.
    pub clif: Vec<String>,
    /// Machine instructions, by address.
    pub machine: Vec<Machine>,
}

/// A machine instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Bytes from the start of the function.
    pub offset: u32,
    /// Its bytes; addresses of other pieces are zero.
    pub bytes: Vec<u8>,
    /// In Intel's syntax.
    pub text: String,
    /// The piece of code that it refers to.
    pub target: Option<String>,
}

/// The listing of a body, of which `clif` and `code` were made.
pub(crate) fn of(
    module: &Module<'_>,
    body: &FunctionBody<'_>,
    clif: &str,
    code: &Code,
) -> Result<Listing, CompileError> {
    let names = names::of_functions(module);
    let mut rows = vec![Row::default()];
    let mut places = BTreeMap::new();
    let mut reader = body.get_operators_reader()?;
    let mut depth = 0_usize;
    while !reader.eof() {
        let (operator, offset) = reader.read_with_offset()?;
        let (ends, starts) = operator::nesting(&operator);
        depth = depth.saturating_sub(usize::from(ends));
        places.insert(offset, rows.len());
        let wasm = operator::text(&operator);
        rows.push(Row { offset: Some(offset), wasm, depth, ..Row::default() });
        depth += usize::from(starts);
    }
    let row = |offset: Option<u64>| offset.and_then(|at| places.get(&at)).copied().unwrap_or(0);
    for (offset, line) in located(clif) {
        rows[row(offset)].clif.push(line.to_owned());
    }
    let target = |offset: u32, end: u32| {
        let mut relocations = code.relocations.iter();
        let found = relocations.find(|relocation| (offset..end).contains(&relocation.offset))?;
        Some(found.target.name(module, &names))
    };
    for mut machine in instructions(&code.bytes) {
        machine.target = target(machine.offset, machine.offset + machine.bytes.len() as u32);
        rows[row(place(code, machine.offset))].machine.push(machine);
    }
    Ok(Listing { name: code.symbol.name(module, &names), rows })
}

/// The offset in the module that the instruction at `offset` comes from: that of the outermost call, for
/// inlined code.
fn place(code: &Code, offset: u32) -> Option<u64> {
    let after = code.locations.partition_point(|(start, _)| *start <= offset);
    let (_, location) = code.locations[..after].last()?;
    code.positions.places(*location).last().map(u64::from)
}

/// The instructions of a text in Cranelift's format with their offsets in the module. Lines between
/// instructions, which start blocks, belong to the next one.
fn located(clif: &str) -> Vec<(Option<u64>, &str)> {
    let mut lines = Vec::new();
    let mut waiting = Vec::new();
    for line in clif.lines().filter(|line| !line.trim().is_empty()) {
        let mark = line.trim_start().strip_prefix('@');
        let marked = mark.and_then(|mark| mark.split_once(char::is_whitespace));
        match marked {
            Some((offset, instruction)) => {
                let offset = u64::from_str_radix(offset, 16).ok();
                lines.extend(waiting.drain(..).map(|line| (offset, line)));
                lines.push((offset, instruction.trim()));
            }
            None if line.trim_start().starts_with("block") => waiting.push(line.trim()),
            None => lines.push((None, line.trim())),
        }
    }
    lines.extend(waiting.into_iter().map(|line| (None, line)));
    lines
}

/// The instructions of machine code. Constants behind the code are read as if they were some.
fn instructions(bytes: &[u8]) -> impl Iterator<Item = Machine> {
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    std::iter::from_fn(move || {
        if !decoder.can_decode() {
            return None;
        }
        let start = decoder.position();
        let mut instruction = Instruction::default();
        decoder.decode_out(&mut instruction);
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        let bytes = bytes[start..decoder.position()].to_vec();
        Some(Machine { offset: start as u32, bytes, text, target: None })
    })
}
