//! Listings: every operator with the code that was made of it.

use wfaas_compiler::{Listing, OptLevel, Options, compile, functions, listing};

const MODULE: &str = r#"(module
    (import "m" "f" (func $f (param i32) (result i32)))
    (memory 1)
    (func $small (param i32) (result i32) (i32.xor (local.get 0) (i32.const 0x55)))
    (func $main (export "main") (param i32) (result i32)
      (if (result i32) (local.get 0)
        (then (i32.load offset=8 (call $f (local.get 0))))
        (else (call $small (i32.mul (local.get 0) (i32.const 77)))))))"#;

fn main_of(options: &Options<'_>) -> Listing {
    listing(MODULE.as_bytes(), 2, options).unwrap()
}

fn all_bytes(listing: &Listing) -> Vec<(u32, Vec<u8>)> {
    let instructions = listing.rows.iter().flat_map(|row| &row.machine);
    let mut all: Vec<_> =
        instructions.map(|machine| (machine.offset, machine.bytes.clone())).collect();
    all.sort();
    all
}

#[test]
fn operators_have_their_code() {
    let listing = main_of(&Options::default());
    assert_eq!(listing.name, "main");
    let names: Vec<_> = listing.rows.iter().map(|row| (row.depth, row.wasm.as_str())).collect();
    let expected = [
        (0, ""),
        (0, "local.get 0"),
        (0, "if (result i32)"),
        (1, "local.get 0"),
        (1, "call 0"),
        (1, "i32.load offset=8"),
        (0, "else"),
        (1, "local.get 0"),
        (1, "i32.const 77"),
        (1, "i32.mul"),
        (1, "call 1"),
        (0, "end"),
        (0, "end"),
    ];
    assert_eq!(names, expected);
    let row = |wasm: &str| listing.rows.iter().find(|row| row.wasm == wasm).unwrap();
    assert!(row("i32.load offset=8").clif.iter().any(|line| line.contains("load.i32")));
    let call = row("call 0");
    let target = call.machine.iter().find_map(|machine| machine.target.as_deref());
    assert_eq!(target, Some("import:m.f"));
    assert!(row("i32.mul").clif.iter().any(|line| line.contains("imul")));
    // The heads of blocks are with the operators that begin them.
    let heads = |row: &wfaas_compiler::Row| row.clif.iter().any(|line| line.starts_with("block"));
    assert!(listing.rows.iter().any(|row| row.offset.is_some() && heads(row)));
    assert!(row("i32.mul").machine.iter().any(|machine| machine.text.starts_with("imul")));
    // The inlined function's code is at the call.
    assert!(row("call 1").machine.iter().any(|machine| machine.text.starts_with("xor")));
}

/// All bytes of the function are in it once, and are those of the artifact, addresses of others aside.
#[test]
fn machine_code_is_that_of_the_artifact() {
    for opt in [OptLevel::Speed, OptLevel::Fast] {
        let options = Options { opt, ..Options::default() };
        let listing = main_of(&options);
        let compiled = compile(MODULE.as_bytes(), &options).unwrap().artifact;
        let artifact = wfaas_abi::Artifact::parse(&compiled).unwrap();
        let start = artifact.functions()[2].text_offset.get() as usize;
        let mut next = 0;
        for (offset, bytes) in all_bytes(&listing) {
            assert_eq!(offset, next, "one after the other");
            next += bytes.len() as u32;
            let there = &artifact.text()[start + offset as usize..][..bytes.len()];
            let same = bytes.iter().zip(there).all(|(ours, theirs)| ours == theirs || *ours == 0);
            let first = (bytes[0], there[0]);
            assert!(same || first.0 == first.1, "at {offset}: {bytes:x?}, {there:x?}");
        }
        assert!(next > 20);
    }
}

#[test]
fn functions_have_index_and_name() {
    let found = functions(MODULE.as_bytes(), &Options::default()).unwrap();
    let found: Vec<_> = found.iter().map(|(index, name)| (*index, name.as_deref())).collect();
    assert_eq!(found, [(1, Some("small")), (2, Some("main"))]);
    assert!(listing(MODULE.as_bytes(), 0, &Options::default()).is_err(), "an import");
    assert!(listing(MODULE.as_bytes(), 9, &Options::default()).is_err());
}
