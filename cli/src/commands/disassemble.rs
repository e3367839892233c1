//! `faascli inspect --disassemble`: the code of one function, operator by operator.

use crate::failure::{Blame, Failure};
use crate::output;
use crate::recipe::Recipe;
use crate::subject::{self, Subject};
use serde::Serialize;
use std::path::Path;
use wfaas_abi::untrusted;
use wfaas_compiler::{Listing, Machine, Options};

/// Columns of WebAssembly, and of intermediate code.
const WASM_COLUMNS: usize = 36;
const CLIF_COLUMNS: usize = 56;

/// Functions that are listed where a name is of none or of several.
const MOST_NAMES: usize = 20;

/// A listing as JSON.
#[derive(Serialize)]
struct Report<'l> {
    function: u32,
    name: &'l str,
    rows: Vec<Row<'l>>,
}

/// An operator; offsets in bytes.
#[derive(Serialize)]
struct Row<'l> {
    /// In the module; none for code of no operator.
    offset: Option<u64>,
    wasm: &'l str,
    clif: &'l [String],
    machine: Vec<Code<'l>>,
}

/// A machine instruction.
#[derive(Serialize)]
struct Code<'l> {
    /// In the function.
    offset: u32,
    bytes: String,
    text: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'l str>,
}

/// Prints the function `wanted` of the module or folder at `path`.
pub(super) fn run(path: &Path, wanted: &str, json: bool) -> Result<u8, Failure> {
    let (wasm, recipe) = match Subject::at(path)? {
        Subject::Folder(manifest) => {
            (manifest.wasm.clone(), Recipe::default().with_manifest(&manifest))
        }
        Subject::Module(path) => (path, Recipe::default()),
        Subject::Artifact(path) => {
            return Err(Failure::user(format_args!(
                "{} has no WebAssembly in it: give the module that it was made of",
                path.display()
            )));
        }
    };
    let (bytes, options) = (subject::read(&wasm)?, recipe.compile_options()?);
    let module = wfaas_build::core_module(&bytes).user_error()?;
    let function = find(&module, wanted, &options)?;
    let listing = wfaas_compiler::listing(&module, function, &options).user_error()?;
    if json {
        output::json(&report(function, &listing))?;
    } else {
        print(function, &listing)?;
    }
    Ok(0)
}

/// The index of the function called `wanted`, or of the only one with that in its name.
fn find(module: &[u8], wanted: &str, options: &Options<'_>) -> Result<u32, Failure> {
    let functions = wfaas_compiler::functions(module, options).user_error()?;
    let number = wanted.strip_prefix("func[").and_then(|rest| rest.strip_suffix(']'));
    if let Ok(index) = number.unwrap_or(wanted).parse::<u32>() {
        let is_there = functions.iter().any(|(function, _)| *function == index);
        return is_there.then_some(index).ok_or_else(|| {
            Failure::user(format_args!("function {index} is not defined in the module"))
        });
    }
    let named = || functions.iter().filter_map(|(index, name)| Some((*index, name.as_deref()?)));
    if let Some((index, _)) = named().find(|(_, name)| *name == wanted) {
        return Ok(index);
    }
    let close: Vec<_> = named().filter(|(_, name)| name.contains(wanted)).collect();
    match close[..] {
        [(index, _)] => Ok(index),
        [] => Err(none_called(wanted, &named().collect::<Vec<_>>())),
        _ => Err(none_called(wanted, &close)),
    }
}

fn none_called(wanted: &str, others: &[(u32, &str)]) -> Failure {
    let shown: Vec<String> = others
        .iter()
        .take(MOST_NAMES)
        .map(|(index, name)| format!("\n  {index} {}", untrusted::name(name)))
        .collect();
    let rest = others.len().saturating_sub(MOST_NAMES);
    let more = if rest > 0 { format!("\n  and {rest} more") } else { String::new() };
    Failure::user(format_args!(
        "no function, or several, called {:?}; give a name or an index:{}{more}",
        wanted,
        shown.concat()
    ))
}

fn report(function: u32, listing: &Listing) -> Report<'_> {
    let rows = listing.rows.iter().map(|row| Row {
        offset: row.offset,
        wasm: &row.wasm,
        clif: &row.clif,
        machine: row.machine.iter().map(code).collect(),
    });
    Report { function, name: &listing.name, rows: rows.collect() }
}

fn code(machine: &Machine) -> Code<'_> {
    Code {
        offset: machine.offset,
        bytes: machine.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        text: &machine.text,
        target: machine.target.as_deref(),
    }
}

fn print(function: u32, listing: &Listing) -> output::Result {
    output::line(format_args!("function {function}: {}", untrusted::name(&listing.name)))?;
    for row in &listing.rows {
        let place = row.offset.map_or(String::new(), |offset| format!("{offset:#08x}"));
        let indent = "  ".repeat(row.depth.min(8));
        let wasm = format!("{place:8} {indent}{}", row.wasm);
        let lines = row.clif.len().max(row.machine.len()).max(1);
        for line in 0..lines {
            let wasm = if line == 0 { &wasm[..] } else { "" };
            let clif = row.clif.get(line).map_or("", String::as_str);
            let machine = row.machine.get(line).map(shown).unwrap_or_default();
            let text = format!("{wasm:WASM_COLUMNS$} {clif:CLIF_COLUMNS$} {machine}");
            if row.offset.is_some() || !text.trim().is_empty() {
                output::line(text.trim_end())?;
            }
        }
    }
    Ok(())
}

fn shown(machine: &Machine) -> String {
    let target = machine.target.as_deref().map(|name| format!("  ; {}", untrusted::name(name)));
    format!("{:5x}  {}{}", machine.offset, machine.text, target.unwrap_or_default())
}
