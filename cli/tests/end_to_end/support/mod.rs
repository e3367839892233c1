//! Parts that the end-to-end tests share: the real binary, the examples, a server, an HTTP client.

mod http;
mod server;

pub(crate) use http::{Response, request};
pub(crate) use server::Server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing a test waits for takes longer, on a busy machine either.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The examples of the repository.
pub(crate) const EXAMPLES_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// `faascli` with these arguments.
pub(crate) fn faascli<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faascli"));
    // Tests leave nothing in anybody's cache.
    command.args(args).stdin(Stdio::null()).env("XDG_CACHE_HOME", "/proc/nowhere");
    command
}

/// What a finished command left.
pub(crate) struct Finished {
    /// Exit code; `None` after death by a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Finished {
    /// Asserts the exit code and that standard error contains all of `parts`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, parts: &[&str]) -> Finished {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in\n{}", self.stderr);
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Finished {
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs `faascli` to its end.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Finished {
    run_with_stdin(args, b"")
}

/// Runs `faascli` to its end with these bytes on standard input. A command that does not end in
/// time is killed, and then its code is `None`.
pub(crate) fn run_with_stdin<S: AsRef<std::ffi::OsStr>>(args: &[S], stdin: &[u8]) -> Finished {
    let mut child = faascli(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("faascli starts");
    let mut input = child.stdin.take().expect("a pipe");
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&stdin));
    let id = child.id();
    let (finished, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            signal(id, "KILL");
        }
    });
    let output = child.wait_with_output().expect("faascli ends");
    drop(finished);
    watchdog.join().expect("the watchdog ends");
    // A command that does not read its input closes the pipe: no matter.
    let _ = writer.join().expect("the writer ends");
    output.into()
}

/// Sends a signal to a process that a test has started.
pub(crate) fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(status.expect("kill starts").success(), "no process {id}");
}

/// Waits until `done`, or fails.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder of its own for a test, removed at its end.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("faascli-test-").tempdir().expect("a temporary folder")
}

/// Writes a file into `folder`; its path.
pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("the file can be written");
    path
}

/// A copy of an example in `folder`, so that tests do not build in each other's way.
pub(crate) fn copy_example(name: &str, folder: &Path) -> PathBuf {
    let target = folder.join(name);
    copy_folder(&Path::new(EXAMPLES_FOLDER).join(name), &target);
    target
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).expect("the example is there").flatten() {
        let name = entry.file_name();
        if name == "target" {
            continue;
        }
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to.join(name));
        } else if name == "Cargo.toml" {
            // Paths that lead out of the example lead to the same place from the copy.
            let text = std::fs::read_to_string(entry.path()).expect("a manifest");
            let text = text.replace("../../sdk", &format!("{EXAMPLES_FOLDER}/../sdk"));
            std::fs::write(to.join(name), text).expect("the file can be written");
        } else {
            std::fs::copy(entry.path(), to.join(name)).expect("the file can be copied");
        }
    }
}

/// Builds `source` (text format) to an artifact in `folder`; its path.
#[track_caller]
pub(crate) fn build(folder: &Path, name: &str, source: &str) -> PathBuf {
    let wat = write(folder, &format!("{name}.wat"), source);
    run(&["build".as_ref(), wat.as_os_str()]).expect(0, &[]);
    wat.with_extension("faas")
}

/// A WASI command that answers `text`.
pub(crate) fn saying(text: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\10\00\00\00\{len:02x}\00\00\00")
          (data (i32.const 16) "{text}")
          (func (export "_start")
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
        len = text.len()
    )
}

/// A reactor that writes 64 KiB of lines of one letter to stderr and stdout.
pub(crate) const LINES: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 3)
    (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "faas_handle") (param i32 i32) (result i64) (local $i i32)
      (loop $l
        (i32.store16 offset=4096 (local.get $i) (i32.const 0x0a61))
        (br_if $l (i32.lt_u
          (local.tee $i (i32.add (local.get $i) (i32.const 2))) (i32.const 65536))))
      (i32.store (i32.const 16) (i32.const 4096))
      (i32.store (i32.const 20) (i32.const 65536))
      (drop (call $w (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))
      (drop (call $w (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 32)))
      (i64.const 0)))"#;
