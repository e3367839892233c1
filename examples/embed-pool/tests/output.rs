//! The example prints what it should, and is as short as it claims.

use std::process::Command;

#[test]
fn users_are_greeted_and_an_endless_loop_ends() {
    let output = Command::new(env!("CARGO_BIN_EXE_embed-pool")).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected =
        "hello, Ada\nhello, Grace\nfailed: trap: deadline exceeded\nguest backtrace:\n   0: handle";
    assert!(stdout.starts_with(expected), "{stdout}");
}

#[test]
fn it_has_sixty_lines() {
    assert!(include_str!("../src/main.rs").lines().count() <= 60);
}
