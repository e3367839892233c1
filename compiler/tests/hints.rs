//! Branch hints move blocks off the hot path, and change nothing else.

use wfaas_compiler::{Options, clif};

fn cold_blocks(branch: &str) -> usize {
    let wat = format!("(module (func (param i32) (result i32) {branch}))");
    let text = clif(wat.as_bytes(), 0, &Options::default()).unwrap();
    text.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("block") && line.contains(" cold"))
        .count()
}

#[test]
fn hinted_branches_have_a_cold_side() {
    let hints = [r#"(@metadata.code.branch_hint "\00")"#, r#"(@metadata.code.branch_hint "\01")"#];
    let one = |hint: &str| {
        format!("{hint} (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))")
    };
    let other = |hint: &str| {
        format!("(block (local.get 0) {hint} (br_if 0) (return (i32.const 3))) (i32.const 4)")
    };
    assert_eq!(cold_blocks(&one("")), 0);
    assert_eq!(cold_blocks(&other("")), 0);
    for hint in hints {
        assert_eq!(cold_blocks(&one(hint)), 1, "if {hint}");
        assert_eq!(cold_blocks(&other(hint)), 1, "br_if {hint}");
    }
}

#[test]
fn malformed_hints_are_ignored() {
    for section in [&b"\x01\x00\xff\xff"[..], b"\xff", b"", b"\x01\x00\x01\x00\x02\x00"] {
        let mut wasm =
            wat::parse_str("(module (func (param i32) (block (br_if 0 (local.get 0)))))").unwrap();
        let name = b"metadata.code.branch_hint";
        let size = 1 + name.len() + section.len();
        let head = [0, size as u8, name.len() as u8];
        let custom = [&head[..], name, section].concat();
        // Before the code: 8 bytes of head, 7 of types and 4 of functions are behind.
        wasm.splice(19..19, custom);
        wfaas_compiler::compile(&wasm, &Options::default()).unwrap();
    }
}
