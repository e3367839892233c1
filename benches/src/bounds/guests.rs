//! Guests: what requests run.

use crate::exec::build::{Built, build};
use crate::exec::kernels::Kernel;
use crate::exec::process;
use crate::exec::runner::Runner;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{MemoryType, Module};
use wasmparser::Parser;

/// How a request uses its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A kernel, in a memory as large as it needs from the start.
    Fixed,
    /// The same kernel, in a memory of one page that it grows first, and then works in.
    Growing,
    /// Grows the memory once and returns.
    Grow,
    /// Grows the memory by the same, page by page.
    Steps,
    /// Grows the memory once and writes to every 4 KiB of what it got.
    Touch,
}

impl Kind {
    /// As in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Fixed => "fixed",
            Kind::Growing => "growing",
            Kind::Grow => "grow",
            Kind::Steps => "steps",
            Kind::Touch => "touch",
        }
    }
}

/// A module, the function of it that a request calls, and what that returns.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) wasm: Vec<u8>,
    pub(crate) entry: &'static str,
    pub(crate) argument: i32,
    pub(crate) expected: i64,
}

/// A kernel as two guests, whose requests take an eighth of the repetitions it is measured with by
/// itself: a quarter of a millisecond, as short functions do. Also where its native build is.
pub(crate) fn of_kernel(kernel: &Kernel, folder: &Path) -> anyhow::Result<([Guest; 2], Built)> {
    let built = build(kernel, folder)?;
    let repetitions = repetitions(kernel);
    let expected = process::start(&built.native, &[])?.run(repetitions)?.checksum;
    let wasm = std::fs::read(&built.growing)
        .with_context(|| format!("reading {}", built.growing.display()))?;
    let guest = |kind: Kind, wasm: Vec<u8>, entry: &'static str| Guest {
        name: kernel.name.to_owned(),
        kind,
        wasm,
        entry,
        argument: repetitions.cast_signed(),
        expected: expected.cast_signed(),
    };
    let growing = with_one_page(&wasm)?;
    let guests = [guest(Kind::Fixed, wasm, "run"), guest(Kind::Growing, growing, "run_growing")];
    Ok((guests, built))
}

/// Repetitions of a kernel's work in a request.
pub(crate) fn repetitions(kernel: &Kernel) -> u32 {
    (kernel.repetitions / 8).max(1)
}

/// The module with a memory that is declared to have one page at the start.
fn with_one_page(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    struct OnePage;
    impl Reencode for OnePage {
        type Error = std::convert::Infallible;

        fn memory_type(
            &mut self,
            ty: wasmparser::MemoryType,
        ) -> Result<MemoryType, Error<Self::Error>> {
            Ok(MemoryType { minimum: 1, ..utils::memory_type(self, ty) })
        }
    }
    let mut module = Module::new();
    OnePage.parse_core_module(&mut module, Parser::new(0), wasm)?;
    Ok(module.finish())
}

/// WebAssembly pages by which [`growth`] grows, and what that is.
const SIZES: &[(u32, &str)] =
    &[(0, "nothing"), (1, "64 KiB"), (16, "1 MiB"), (64, "4 MiB"), (256, "16 MiB")];

/// Guests that grow their memory and do nothing else.
pub(crate) fn growth() -> anyhow::Result<Vec<Guest>> {
    let once = "(drop (memory.grow (local.get $pages)))";
    let steps = "(loop $next
        (drop (memory.grow (i32.const 1)))
        (br_if $next (i32.lt_u (memory.size) (i32.add (local.get $pages) (i32.const 1)))))";
    let touch = "(drop (memory.grow (local.get $pages)))
        (local.set $at (i32.const 65536))
        (loop $next
            (i32.store (local.get $at) (i32.const 1))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))";
    let bodies = [(Kind::Grow, once), (Kind::Steps, steps), (Kind::Touch, touch)];
    let mut guests = Vec::new();
    for (pages, name) in SIZES {
        for (kind, body) in bodies {
            // One step is what growing once is, and there is nothing to touch.
            if (kind == Kind::Grow) || (kind == Kind::Touch && *pages > 0) || *pages > 1 {
                guests.push(growing(name, kind, *pages, body)?);
            }
        }
    }
    Ok(guests)
}

/// A guest of a page that grows by `pages`, and returns its size then.
fn growing(name: &str, kind: Kind, pages: u32, body: &str) -> anyhow::Result<Guest> {
    let wasm = wat::parse_str(format!(
        "(module (memory 1)
            (func (export \"run\") (param $pages i32) (result i64) (local $at i32)
                {body}
                (i64.extend_i32_u (memory.size))))"
    ))?;
    let (argument, expected) = (pages.cast_signed(), i64::from(pages) + 1);
    Ok(Guest { name: name.to_owned(), kind, wasm, entry: "run", argument, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_grown_by_once_in_steps_and_touched() {
        let guests = growth().unwrap();
        let names: Vec<_> = guests.iter().map(|g| (g.name.as_str(), g.kind.name())).collect();
        assert_eq!(names[..3], [("nothing", "grow"), ("64 KiB", "grow"), ("64 KiB", "touch")]);
        assert_eq!(names[3..6], [("1 MiB", "grow"), ("1 MiB", "steps"), ("1 MiB", "touch")]);
        assert_eq!(names.len(), 12);
    }

    #[test]
    fn a_memory_of_many_pages_is_declared_with_one() {
        let wasm = wat::parse_str("(module (memory (export \"m\") 14) (func))").unwrap();
        let expected = wat::parse_str("(module (memory (export \"m\") 1) (func))").unwrap();
        assert_eq!(with_one_page(&wasm).unwrap(), expected);
    }
}
