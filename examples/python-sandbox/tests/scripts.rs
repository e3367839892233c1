//! The host, with scripts of all kinds. `faascli build examples/python-sandbox` has to be first: `./test real` does that.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of a script left: standard output, standard error with the line about its end, and whether the host was
/// satisfied.
fn run(script: &str) -> (String, String, bool) {
    let artifact = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python-sandbox.faas");
    let mut host = Command::new(env!("CARGO_BIN_EXE_python-sandbox"))
        .arg(artifact)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the host starts");
    host.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("it reads");
    let output = host.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.success())
}

/// Checks what a script writes, and parts of what is said about it.
#[track_caller]
fn check(script: &str, stdout: &str, parts: &[&str]) {
    let (found, stderr, satisfied) = run(script);
    assert_eq!((found.as_str(), satisfied), (stdout, true), "{script}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{script}: no {part:?} in {stderr}");
    }
}

#[test]
#[ignore = "needs the artifact, which fetches CPython from npm"]
fn scripts_run_within_limits() {
    check("print(sum(range(10)))", "45\n", &["-- exit code 0"]);
    check("import sys; sys.exit(3)", "", &["-- exit code 3"]);
    check("print('a'); 1 / 0", "a\n", &["ZeroDivisionError", "<script>", "-- exit code 1"]);
    check("print(", "", &["SyntaxError", "-- exit code 1"]);
    check("while True: pass", "", &["ended at its limit: Cpu"]);
    check("import time; time.sleep(60)", "", &["ended at its limit: Time"]);
    check("b = bytearray(1 << 30)", "", &["MemoryError", "-- exit code 1"]);
    check(
        "import os; print(os.environ); open('/etc/passwd')",
        "environ({})\n",
        &["FileNotFoundError", "-- exit code 1"],
    );
    check("def f(): f()\nf()", "", &["RecursionError", "-- exit code 1"]);
    let (stdout, stderr, _) = run("while True: print('x' * 1000)");
    assert!(stdout.len() <= 64 << 10 && stderr.contains("ended at its limit: Output"), "{stderr}");
}

#[test]
#[ignore = "needs the artifact, which fetches CPython from npm"]
fn a_script_sees_nothing_of_another() {
    for _ in 0..2 {
        check(
            "import builtins, os\nprint(hasattr(builtins, 'mine'), os.path.exists('/tmp/mine'))\n\
             builtins.mine = 1\nopen('/tmp/mine', 'w').write('x')\nprint(open('/tmp/mine').read())",
            "False False\nx\n",
            &["-- exit code 0"],
        );
    }
    let [first, second] = [(); 2].map(|()| run("import random; print(random.random())").0);
    assert_ne!(first, second, "both begin with the same seed");
}
