//! Standard streams that take nothing: a full disk, a reader that has gone away, no descriptor. What
//! is said beside the results changes no result; a result that is lost is an error.

use super::support::{
    Finished, LINES, PATIENCE, Server, build, copy_example, faascli, saying, scratch, write,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A stream that is always full.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("Linux has it").into()
}

/// The write end of a pipe that nobody reads any more.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A command line, and its exit code if all streams work.
struct Line {
    words: Vec<OsString>,
    code: i32,
}

impl Line {
    fn new(words: &str, path: Option<&Path>, code: i32) -> Line {
        let words = words.split(' ').map(OsString::from);
        Line { words: words.chain(path.map(Into::into)).collect(), code }
    }

    fn finish(&self, stdout: Stdio, stderr: Stdio) -> Finished {
        let mut command = faascli(&self.words);
        command.stdout(stdout).stderr(stderr).output().expect("faascli starts").into()
    }
}

/// An artifact, and a command line of each family that prints a result.
fn lines(folder: &Path, server: &Server) -> Vec<Line> {
    let artifact = build(folder, "hello", &saying("hi"));
    let wat = write(folder, "sum.wat", "(module (func (export \"one\") (result i32) i32.const 1))");
    let deploy = format!("deploy --server {}", server.url());
    let line = |words: &str, path: &PathBuf| Line::new(words, Some(path), 0);
    vec![
        line("build", &wat),
        line("build --json", &wat),
        line("build --explain-bounds", &wat),
        line("run --invoke one", &wat),
        line(&deploy, &artifact),
        line(&format!("{deploy} --json"), &artifact),
        line("inspect", &artifact),
        line("inspect --json", &artifact),
        line("verify", &artifact),
        line("snapshot", &artifact),
        line("snapshot --json", &artifact),
        Line::new("doctor", None, 0),
        Line::new("--help", None, 0),
        Line::new("run --help", None, 0),
        Line::new("--version", None, 0),
    ]
}

/// Command lines that only speak on standard error.
fn mistakes(folder: &Path) -> Vec<Line> {
    let trap = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;
    let trap = write(folder, "trap.wat", trap);
    let bad = write(folder, "bad.wat", "(module (func (export");
    let line = |words: &str, path: &PathBuf, code| Line::new(words, Some(path), code);
    let missing = folder.join("missing");
    vec![
        line("run", &trap, 134),
        line("build", &bad, 2),
        line("serve", &missing, 2),
        line("deploy --server http://127.0.0.1:1", &trap, 1),
        line("snapshot", &missing, 2),
        line("inspect", &bad, 2),
        line("verify", &bad, 2),
        line("run --no-such-option", &trap, 2),
        Line::new("no-such-command", None, 2),
    ]
}

#[test]
fn results_do_not_depend_on_standard_error() {
    let folder = scratch();
    let server = Server::start::<&str>(&folder.path().join("store"), &[]);
    for line in lines(folder.path(), &server).iter().chain(&mistakes(folder.path())) {
        let whole = line.finish(Stdio::piped(), Stdio::null());
        assert_eq!(whole.code, Some(line.code), "{:?}: {}", line.words, whole.stdout);
        for stderr in [full(), unread()] {
            let finished = line.finish(Stdio::piped(), stderr);
            assert_eq!(finished.code, Some(line.code), "{:?}", line.words);
            assert_eq!(finished.stdout.is_empty(), whole.stdout.is_empty(), "{:?}", line.words);
        }
    }
}

#[test]
fn a_lost_result_is_an_error_and_a_closed_pipe_is_not() {
    let folder = scratch();
    let server = Server::start::<&str>(&folder.path().join("store"), &[]);
    for line in lines(folder.path(), &server) {
        let finished = line.finish(full(), Stdio::piped());
        finished.expect(1, &["error: cannot write to standard output: No space left on device"]);
        let finished = line.finish(unread(), Stdio::piped());
        assert_eq!(finished.expect(0, &[]).stderr, "", "{:?}", line.words);
        // Neither stream works: the code is all there is to say it.
        assert_eq!(line.finish(full(), full()).code, Some(1), "{:?}", line.words);
    }
}

#[test]
fn closed_descriptors_are_no_panic() {
    let folder = scratch();
    let artifact = build(folder.path(), "hello", &saying("hi"));
    let example = copy_example("hello", folder.path());
    for words in [
        vec!["verify".as_ref(), artifact.as_os_str()],
        vec!["run".as_ref(), artifact.as_os_str()],
        vec!["run".as_ref(), example.as_os_str()],
    ] {
        let mut command = std::process::Command::new("bash");
        command.args(["-c", "exec \"$0\" \"$@\" >&- 2>&-", env!("CARGO_BIN_EXE_faascli")]);
        assert_eq!(command.args(&words).status().unwrap().code(), Some(0), "{words:?}");
    }
}

#[test]
fn a_folder_is_built_though_nobody_hears_of_it() {
    let folder = scratch();
    let module = write(folder.path(), "a.wat", saying("hi"));
    write(folder.path(), "faas.toml", "name = 'a'\nwasm = 'a.wat'\n");
    assert!(module.exists());
    let line = Line::new("run", Some(folder.path()), 0);
    let finished = line.finish(Stdio::piped(), full());
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "hi"));
}

/// A log that cannot be written is lost; requests are answered.
#[test]
fn a_server_needs_no_standard_error() {
    let folder = scratch();
    let artifact = build(folder.path(), "hello", &saying("hi"));
    for stderr in [full(), unread()] {
        let mut command = faascli(&["serve", "--listen", "127.0.0.1:0", "--store"]);
        command.arg(folder.path().join("store")).arg(&artifact).stderr(stderr);
        let server = Server::spawn_with_log(command, None);
        assert_eq!(server.get("/hello").text(), "hi");
        assert_eq!(server.get("/nothing").status, 404);
        assert_eq!(server.stop(), Some(0));
    }
    let mut command = faascli(&["serve", "--listen", "127.0.0.1:0", "--store"]);
    command.arg(folder.path().join("store")).stdout(full()).stderr(Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(1));
}

/// Standard error is a pipe that nobody reads: it takes 64 KiB, which are a few hundred requests.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let folder = scratch();
    let artifact = build(folder.path(), "hello", &saying("hi"));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = faascli(&["serve", "--listen", "127.0.0.1:0", "--store"]);
    command.arg(folder.path().join("store")).arg(&artifact).stderr(writer);
    let server = Server::spawn_with_log(command, None);
    for _ in 0..800 {
        assert_eq!(server.get("/hello").text(), "hi");
    }
    assert_eq!(server.get("/v1/health").status, 200);
    assert_eq!(server.stop(), Some(0));
    drop(reader);
}

#[test]
fn dropped_records_are_counted_and_told_of() {
    let folder = scratch();
    let artifact = build(folder.path(), "lines", LINES);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = faascli(&["serve", "--listen", "127.0.0.1:0", "--store"]);
    command.arg(folder.path().join("store")).arg(&artifact).stderr(writer);
    let server = Server::spawn_with_log(command, None);
    for _ in 0..40 {
        assert_eq!(server.get("/lines").status, 200);
    }
    let health: serde_json::Value = serde_json::from_str(&server.get("/v1/health").text()).unwrap();
    let dropped = health["dropped_log_records"].as_u64().unwrap();
    assert!(dropped > 0, "{health}");
    let (sender, all_told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut told = 0;
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            if let Some((before, _)) = line.split_once(" records were dropped") {
                told += before.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            }
            if told >= dropped {
                let _ = sender.send(());
            }
        }
    });
    all_told.recv_timeout(PATIENCE).expect("the log tells how many were dropped");
    assert_eq!(server.stop(), Some(0));
}
