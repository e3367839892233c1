//! The ahead-of-time compiler of wfaas: the bytes of a WebAssembly module in, the bytes of an
//! [artifact](wfaas_abi::artifact) out. Nothing is run or mapped here.
//!
//! * a **module** is the parsed binary, plain data;
//! * a **body** is the code of one function, validated and translated by itself, in parallel;
//! * **code** is the machine code of one piece: a function, or a thunk or stub that connects guest
//!   code with the VM; pieces refer to one another by **symbol**;
//! * the **text** is all code, linked: position independent, without load-time relocations;
//! * the **image** holds the state and memory that instances start with.
//!
//! ```
//! use wfaas_compiler::{Options, compile};
//!
//! let module = br#"(module (func (export "answer") (result i32) i32.const 42))"#;
//! let compiled = compile(module, &Options::default())?;
//! let artifact = wfaas_abi::Artifact::parse(&compiled.artifact).unwrap();
//! assert_eq!(artifact.exports().len(), 1);
//! # Ok::<(), wfaas_compiler::CompileError>(())
//! ```
#![forbid(unsafe_code)]

mod analysis;
mod arch;
mod artifact;
mod bounds;
mod code;
mod continuation;
mod dump;
mod emit;
mod error;
mod front;
mod generate;
mod inline;
mod listing;
mod options;
mod passes;
mod switches;
mod symbol;

pub use arch::x86_64::cpu::parse_cpu;
pub use continuation::{Continuation, WaitSite};
pub use dump::{assembly, clif, functions, listing, optimised};
pub use error::CompileError;
pub use front::parse::binary;
pub use listing::{Listing, Machine, Row};
pub use options::{Effort, OptLevel, Options, Progress};
pub use switches::{Entry, Pass, Passes, Proof, Proofs, Proposal, Proposals, Switch, Switches};

use arch::x86_64::unwind;
use artifact::{elf, header, image, link, records};
use continuation::{Plan, Purpose};
use front::layout::Layout;
use front::parse;
use generate::Generator;
use symbol::Symbol;
use wfaas_abi::BoundsStats;
use wfaas_abi::artifact::SectionId;
use wfaas_abi::continuation::FrameArea;

/// An artifact and numbers about it.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The artifact, a whole file.
    pub artifact: Vec<u8>,
    /// Functions defined in the module.
    pub functions: usize,
    /// Bytes of machine code.
    pub text_bytes: usize,
    /// Memory accesses by the fate of their bounds checks.
    pub bounds: BoundsStats,
}

/// Compiles a module, given as a binary or as text.
///
/// # Errors
/// A [`CompileError`] with the fault of the module and its place.
pub fn compile(wasm_or_wat: &[u8], options: &Options<'_>) -> Result<Compiled, CompileError> {
    Ok(compile_for(Aim::Run, wasm_or_wat, options)?.0)
}

/// Compiles a module so that the frames of a program that waits can be recorded: no fast code. Also
/// the places of each function's values in its frame, by the index space.
///
/// # Errors
/// As [`compile`].
pub fn compile_recorded(
    wasm_or_wat: &[u8],
    options: &Options<'_>,
) -> Result<(Compiled, Vec<FrameArea>), CompileError> {
    compile_for(Aim::Record, wasm_or_wat, options)
}

/// Compiles a module with code that continues a program: the export that it was called by goes on where it
/// waits. Its image must be the one of that moment, with function references of this code.
///
/// # Errors
/// As [`compile`], and [`CompileError::NotContinuable`] if a frame holds something that is in no image.
pub fn compile_continued(
    wasm_or_wat: &[u8],
    options: &Options<'_>,
    continuation: &Continuation,
) -> Result<Compiled, CompileError> {
    Ok(compile_for(Aim::Continue(continuation), wasm_or_wat, options)?.0)
}

/// The aim of a compilation.
enum Aim<'a> {
    Run,
    Record,
    Continue(&'a Continuation),
}

fn compile_for(
    aim: Aim<'_>,
    wasm_or_wat: &[u8],
    options: &Options<'_>,
) -> Result<(Compiled, Vec<FrameArea>), CompileError> {
    let wasm = parse::binary(wasm_or_wat)?;
    let (module, bodies) = parse::parse(&wasm, options.proposals)?;
    let layout = Layout::new(&module)?;
    let starts = parse::starts(&bodies);
    let plan = match aim {
        Aim::Continue(continuation) => Some(Plan::new(&module, &bodies, continuation)?),
        Aim::Run | Aim::Record => None,
    };
    let purpose = match (&plan, aim) {
        (Some(plan), _) => Purpose::Continued(plan),
        (None, Aim::Record) => Purpose::Recorded,
        (None, _) => Purpose::Usual,
    };
    let generator = Generator::new(&module, &layout, options)?.with_purpose(purpose);
    let code = generator.generate(bodies, options)?;
    let functions = code.iter().filter(|code| matches!(code.symbol, Symbol::Func(_)));
    let areas = functions.filter_map(|code| code.area).collect();
    let linked = link::link(code)?;
    let initial = image::initial(&module, &layout, &linked);
    let (mut sections, symbols) =
        records::sections(&module, &layout, &linked, &initial, &starts, plan.as_ref());
    sections.set(SectionId::Component, options.component.to_vec());
    sections.set(SectionId::Checkpoint, options.checkpoint.to_vec());
    drop(initial); // its pages are in the sections
    let places = elf::Places::of(&sections);
    let eh_frame =
        unwind::eh_frame(&*generator.isas.usual, &linked.pieces, places.eh_frame_distance())?;
    let header = header::header(&module, &layout, linked.stats, options);
    let artifact = elf::write(header, &places, &sections, &eh_frame, &symbols)?;
    let (functions, text_bytes) = (starts.len(), linked.text.len());
    Ok((Compiled { artifact, functions, text_bytes, bounds: linked.stats }, areas))
}
