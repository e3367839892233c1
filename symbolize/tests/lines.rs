//! Lines of a program that a real compiler made, and DWARF that makes no sense.

use proptest::prelude::*;
use std::process::Command;
use std::sync::LazyLock;
use wfaas_symbolize::{DebugFile, Line};

/// `outer` calls `middle`, which calls `inner`, and both are inlined.
const SOURCE: &str = "#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
#[inline(always)]
fn inner(at: usize) -> u32 {
    unsafe { *(at as *const u32) } // here
}
struct Grid;
impl Grid {
    #[inline(always)]
    fn middle(&self, at: usize) -> u32 {
        inner(at) + 1 // here
    }
}
#[unsafe(no_mangle)]
pub extern \"C\" fn outer(at: usize) -> u32 {
    Grid.middle(at) * 3 // here
}
";

const HASH: [u8; 32] = [7; 32];

/// The module of `SOURCE`.
static MODULE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("app.rs");
    std::fs::write(&source, SOURCE).unwrap();
    let output = folder.path().join("app.wasm");
    let status = Command::new("rustc")
        .args(["--target", "wasm32-wasip1", "--crate-type", "cdylib", "--edition", "2024"])
        .args(["-g", "-C", "opt-level=1", "-C", "panic=abort", "-o"])
        .args([&output, &source])
        .status();
    assert!(status.expect("rustc runs").success(), "is the target wasm32-wasip1 installed?");
    std::fs::read(output).unwrap()
});

static DEBUG: LazyLock<Vec<u8>> = LazyLock::new(|| DebugFile::write(&MODULE, HASH).unwrap());

/// The functions, from the innermost on.
const NAMES: [&str; 3] = ["inner", "middle", "outer"];

/// Whether this is a line of the function in the file of `SOURCE`.
fn is_at(found: &Line, (function, line): (&str, u64)) -> bool {
    let name = found.function.as_deref().unwrap_or_default();
    let file = found.file.as_deref().unwrap_or_default();
    name.ends_with(function) && file.ends_with("/app.rs") && found.line == line && found.column > 0
}

#[test]
fn an_instruction_has_the_lines_of_all_inlined_functions() {
    let file = DebugFile::parse(&DEBUG).unwrap();
    assert_eq!(file.code_hash(), HASH);
    let offsets: Vec<u32> = (0..MODULE.len() as u32).collect();
    let lines = file.lines(&offsets);
    let marked = SOURCE.lines().enumerate().filter(|(_, line)| line.ends_with("// here"));
    let marked: Vec<u64> = marked.map(|(index, _)| index as u64 + 1).collect();
    let wanted: Vec<_> = NAMES.into_iter().zip(marked).collect();
    let is_wanted = |lines: &Vec<Line>| {
        let found = lines.iter().zip(&wanted).filter(|(found, wanted)| is_at(found, **wanted));
        lines.len() == wanted.len() && found.count() == wanted.len()
    };
    assert!(lines.iter().any(is_wanted), "{wanted:?} is not in {lines:?}");
}

#[test]
fn modules_without_dwarf_have_no_debug_file() {
    let empty = b"\0asm\x01\0\0\0";
    for module in [&b""[..], b"(module)", &empty[..], &DEBUG[..50], &MODULE[..100]] {
        assert!(DebugFile::write(module, HASH).is_none());
    }
    for file in [&b""[..], &empty[..], &MODULE[..]] {
        assert!(DebugFile::parse(file).is_none());
    }
}

/// A debug file with these sections.
fn debug_file(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut module = wasm_encoder::Module::new();
    module.section(&wasm_encoder::CodeSection::new());
    for (name, data) in sections {
        module.section(&wasm_encoder::CustomSection { name: (*name).into(), data: (*data).into() });
    }
    DebugFile::write(&module.finish(), HASH).unwrap()
}

#[test]
fn entries_whose_attributes_take_no_bytes_are_read_to_an_end() {
    // Abbreviation 1: a unit with children, low_pc and high_pc; 2: a function of 50 000 flags.
    let mut abbrev = vec![1, 0x11, 1, 0x11, 0x01, 0x12, 0x06, 0, 0, 2, 0x2e, 0];
    abbrev.extend([0x3f, 0x19].repeat(50_000));
    abbrev.extend([0, 0, 0]);
    let entries = vec![2; 500_000];
    let mut unit = vec![4, 0, 0, 0, 0, 0, 4, 1, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f];
    unit.extend(entries);
    let mut info = (unit.len() as u32).to_le_bytes().to_vec();
    info.extend(unit);
    let file =
        debug_file(&[(".debug_abbrev", &abbrev), (".debug_info", &info), (".debug_line", b"")]);
    assert_eq!(DebugFile::parse(&file).unwrap().lines(&[1000, u32::MAX]), [vec![], vec![]]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_dwarf_is_read_to_an_end(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        end in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = DEBUG.clone();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let Some(file) = DebugFile::parse(&bytes) else { return Ok(()) };
        let offsets: Vec<u32> = (0..64).map(|index| index * 7).collect();
        let lines = file.lines(&offsets);
        prop_assert_eq!(lines.len(), offsets.len());
        prop_assert!(lines.iter().all(|lines| lines.len() <= wfaas_symbolize::MAX_DEPTH));
    }
}
