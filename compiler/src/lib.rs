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
pub use dump::{assembly, clif, functions, listing};
pub use error::CompileError;
pub use front::parse::binary;
pub use listing::{Listing, Machine, Row};
pub use options::{Effort, OptLevel, Options, Progress};
pub use switches::{Entry, Pass, Passes, Proof, Proofs, Proposal, Proposals, Switch, Switches};

use arch::x86_64::unwind;
use artifact::{elf, header, image, link, records};
use front::layout::Layout;
use front::parse;
use generate::Generator;
use wfaas_abi::BoundsStats;
use wfaas_abi::artifact::SectionId;

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
    let wasm = parse::binary(wasm_or_wat)?;
    let (module, bodies) = parse::parse(&wasm, options.proposals)?;
    let layout = Layout::new(&module)?;
    let starts = parse::starts(&bodies);
    let generator = Generator::new(&module, &layout, options)?;
    let code = generator.generate(bodies, options)?;
    let linked = link::link(code)?;
    let initial = image::initial(&module, &layout, &linked);
    let (mut sections, symbols) = records::sections(&module, &layout, &linked, &initial, &starts);
    sections.set(SectionId::Component, options.component.to_vec());
    drop(initial); // its pages are in the sections
    let places = elf::Places::of(&sections);
    let eh_frame =
        unwind::eh_frame(&*generator.isas.usual, &linked.pieces, places.eh_frame_distance())?;
    let header = header::header(&module, &layout, linked.stats, options);
    let artifact = elf::write(header, &places, &sections, &eh_frame, &symbols)?;
    Ok(Compiled {
        artifact,
        functions: starts.len(),
        text_bytes: linked.text.len(),
        bounds: linked.stats,
    })
}
