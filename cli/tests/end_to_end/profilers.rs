//! What profilers and disassemblers see.

use super::support::{Server, build, run, scratch, write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A function with work to do.
const SPINS: &str = r#"(module
    (memory (export "memory") 1)
    (func $spin_around (param $rounds i32) (result i32) (local $sum i32)
      (loop $l
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (local.get $rounds)))
        (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
        (br_if $l (local.get $rounds)))
      (local.get $sum))
    (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "faas_handle") (param i32 i32) (result i64)
      (i32.store (i32.const 8) (call $spin_around (i32.const 1000)))
      (i64.const 0)))"#;

/// A mapping of a process.
struct Mapping {
    executable: bool,
    offset: u64,
    bytes: u64,
    path: PathBuf,
}

/// The mappings of files with this path's end.
fn mappings(process: u32, of: impl Fn(&Path) -> bool) -> Vec<Mapping> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let mapping = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let executable = words.next()?.contains('x');
        let offset = hex(words.next()?);
        let path = PathBuf::from(words.nth(2)?);
        Some(Mapping { executable, offset, bytes: hex(end) - hex(start), path })
    };
    maps.lines().filter_map(mapping).filter(|mapping| of(&mapping.path)).collect()
}

/// The place in the file of the function whose name contains `name`, as `nm` and `perf` read it:
/// addresses of an artifact are its offsets.
fn symbol(file: &Path, name: &str) -> u64 {
    let output = Command::new("nm").arg(file).output().expect("binutils are installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {}: {text}", file.display()));
    u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap()
}

/// perf looks up the file that code is mapped from, by path, and the symbols in it: so both have to
/// be there while a function is served, wherever it comes from.
#[test]
fn code_of_served_functions_is_mapped_from_files_with_symbols() {
    let folder = scratch();
    let store = folder.path().join("store");
    let module = write(folder.path(), "spins.wat", SPINS);
    let server = Server::start(&store, &[module.to_str().unwrap()]);
    assert_eq!(server.post("/spins", b"").status, 200);
    let artifact = build(folder.path(), "two", SPINS);
    run(&["deploy", artifact.to_str().unwrap(), "--server", &server.url()]).expect(0, &[]);
    assert_eq!(server.post("/two", b"").status, 200);
    let store = store.canonicalize().unwrap();
    let mapped = mappings(server.id(), |path| path.starts_with(&store));
    let code: Vec<_> = mapped.iter().filter(|mapping| mapping.executable).collect();
    assert!(code.len() >= 2, "{} mappings of code", code.len());
    for mapping in code {
        let place = symbol(&mapping.path, "spin_around");
        let inside = mapping.offset..mapping.offset + mapping.bytes;
        assert!(inside.contains(&place), "{place:#x} in {}", mapping.path.display());
    }
}

#[test]
fn functions_are_shown_operator_by_operator() {
    let folder = scratch();
    let module = write(folder.path(), "spins.wat", SPINS);
    let module = module.to_str().unwrap();
    let shown = run(&["inspect", module, "--disassemble", "spin_around"]).expect(0, &[]);
    let line = |part: &str| {
        let found = shown.stdout.lines().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part} in {}", shown.stdout)).to_owned()
    };
    assert!(line("function 0").contains("spin_around"));
    let multiply = line("i32.mul");
    assert!(multiply.contains("imul"), "{multiply}");
    let json = run(&["inspect", module, "--disassemble", "0", "--json"]).expect(0, &[]).json();
    assert_eq!(json["name"], "spin_around");
    let rows = json["rows"].as_array().unwrap();
    let add = rows.iter().find(|row| row["wasm"] == "i32.add").unwrap();
    assert!(add["offset"].as_u64().unwrap() > 8);
    assert!(add["clif"][0].as_str().unwrap().contains("iadd"));
    let instructions = rows.iter().flat_map(|row| row["machine"].as_array().unwrap()).count();
    assert!(instructions > 5);
    run(&["inspect", module, "--disassemble", "nowhere"]).expect(2, &["faas_handle"]);
    run(&["inspect", module, "--disassemble", "17"]).expect(2, &["is not defined"]);
    run(&["build", module]).expect(0, &[]);
    let artifact = module.replace(".wat", ".faas");
    run(&["inspect", &artifact, "--disassemble", "0"]).expect(2, &["give the module"]);
}
