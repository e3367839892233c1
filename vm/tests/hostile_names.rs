//! Names are a module's to choose. Messages show them without control characters, and not whole if
//! they are long.

mod common;
use common::instance;
use wfaas_abi::untrusted::MAX_NAME;
use wfaas_vm::MAX_FRAMES;

/// Calls itself until the stack ends.
fn recursive(name: &str) -> String {
    format!(
        r#"(module (func ${name} (export "run") (param i32) (result i32)
            (i32.add (i32.const 1) (call ${name} (i32.add (local.get 0) (i32.const 1))))))"#
    )
}

/// The message of the trap in which the export `run` ends.
fn trap(source: &str) -> String {
    let (mut store, instance) = instance(source);
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, 0).unwrap_err();
    assert_eq!(error.trap().map(|trap| trap.frames().len()), Some(MAX_FRAMES));
    error.to_string()
}

#[test]
fn a_backtrace_has_a_line_for_each_frame_and_obeys_no_name() {
    let message = trap(&recursive(r#""\1b[31mred\0a  0: forged\e2\80\ae""#));
    assert_eq!(message.lines().count(), 1 + 1 + MAX_FRAMES + 1, "{message}");
    let shown = r"\u{1b}[31mred\n  0: forged\u{202e}";
    let mut frames = message.lines().skip(2).take(MAX_FRAMES);
    // The stack has ended at the entry of a function, before any place in it.
    assert_eq!(frames.next(), Some(&*format!("   0: {shown}")), "{message}");
    let place = format!("{shown} (wasm offset");
    assert!(frames.all(|line| line.contains(&place)), "{message}");
    assert!(!message.contains(|c: char| c.is_control() && c != '\n'), "{message}");
}

#[test]
fn a_backtrace_is_short_whatever_the_names() {
    let message = trap(&recursive(&"x".repeat(90_000)));
    assert!(message.len() < MAX_FRAMES * (MAX_NAME + 50), "{} bytes", message.len());
    assert!(message.contains("xxx…"), "the name is cut");
}
