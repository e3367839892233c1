//! `size`: artifacts beside the peer's, and the bytes of their parts.
//!
//! Both sides come as they are: symbols, unwind tables and the places of instructions in, DWARF out.

use crate::peer;
use anyhow::Context;
use object::{Object, ObjectSection};
use rayon::prelude::*;
use serde::Serialize;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wfaas_abi::Artifact;
use wfaas_compiler::{OptLevel, Options};

/// Places in the text that are looked up.
const LOOKUPS: u32 = 100_000;

/// The parts of a file, by the names of sections that both sides use for them.
const PARTS: [(&str, &[&str]); 5] = [
    ("text", &[".text"]),
    ("data", &[".wfaas.image", ".wfaas.data", ".rodata.wasm"]),
    ("places", &[".wfaas.siteblocks", ".wfaas.sites", ".wasmtime.addrmap", ".wasmtime.traps"]),
    ("unwind", &[".eh_frame"]),
    ("symbols", &[".symtab", ".strtab", ".wfaas.strings", ".name.wasm"]),
];

/// A module's artifacts.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: String,
    opt: &'static str,
    ours: Parts,
    peer: Parts,
    /// Bytes of ours / the peer's.
    ratio: f64,
    /// Nanoseconds to find the trap and the places of an instruction, at random.
    lookup_ns: f64,
}

/// Bytes of a file and of the parts of it.
#[derive(Debug, Serialize)]
struct Parts {
    file: u64,
    parts: [u64; PARTS.len()],
}

/// Compiles each file with both sides: ours at `--opt speed`, and at `--opt fast`.
pub(crate) fn run(files: &[PathBuf]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for file in files {
        let wasm = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let compiled = measure(file, &wasm);
        rows.extend(compiled.with_context(|| format!("compiling {}", file.display()))?);
    }
    Ok(rows)
}

fn measure(file: &Path, wasm: &[u8]) -> anyhow::Result<Vec<Row>> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let peer = peer::default_engine()?.precompile_module(wasm)?;
    let row = |(opt, word)| {
        let options = Options { opt, ..Options::default() };
        let ours = wfaas_compiler::compile(wasm, &options)?.artifact;
        Ok(Row {
            name: name.clone(),
            opt: word,
            ratio: ours.len() as f64 / peer.len() as f64,
            lookup_ns: lookup_nanos(&Artifact::parse(&ours)?),
            ours: Parts::of(&ours)?,
            peer: Parts::of(&peer)?,
        })
    };
    [(OptLevel::Speed, "speed"), (OptLevel::Fast, "fast")].into_par_iter().map(row).collect()
}

impl Parts {
    fn of(file: &[u8]) -> anyhow::Result<Parts> {
        let elf = object::File::parse(file)?;
        let mut parts = [0; PARTS.len()];
        for section in elf.sections() {
            let name = section.name()?;
            let part = PARTS.iter().position(|(_, names)| names.contains(&name));
            if let (Some(part), Some((_, bytes))) = (part, section.file_range()) {
                parts[part] += bytes;
            }
        }
        Ok(Parts { file: file.len() as u64, parts })
    }
}

/// The time to find the trap and the places of an instruction.
fn lookup_nanos(artifact: &Artifact<'_>) -> f64 {
    let bytes = artifact.text().len() as u32;
    let start = Instant::now();
    let mut random = 1u32;
    for _ in 0..LOOKUPS {
        random = random.wrapping_mul(0x915f_77f5).wrapping_add(1); // an LCG of full period
        let offset = ((u64::from(random) * u64::from(bytes)) >> 32) as u32;
        black_box(artifact.sites().last_to(offset));
    }
    start.elapsed().as_nanos() as f64 / f64::from(LOOKUPS)
}

/// Prints a table a person can read.
pub(crate) fn print(rows: &[Row]) {
    let mut head = format!("{:<20} {:<6} {:<9} {:>10}", "", "opt", "", "KiB");
    for (part, _) in PARTS {
        let _ = write!(head, " {part:>9}");
    }
    println!("{head} {:>9} {:>7} {:>9}", "others", "ratio", "lookup");
    for row in rows {
        println!(
            "{:<20} {:<6} {:<9} {} {:>7.3} {:>6.0} ns",
            row.name, row.opt, "wfaas", row.ours, row.ratio, row.lookup_ns
        );
        println!("{:<20} {:<6} {:<9} {}", "", "", "wasmtime", row.peer);
    }
}

impl std::fmt::Display for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>10}", self.file >> 10)?;
        for bytes in self.parts {
            write!(f, " {:>9}", bytes >> 10)?;
        }
        write!(f, " {:>9}", (self.file - self.parts.iter().sum::<u64>()) >> 10)
    }
}
