//! Directories of the host: given to a Rust program, to read only, in a faas.toml, and by a server.

use super::support::{Server, run, scratch, write};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that uses the standard library's files: its arguments are a directory and a name.
const PROGRAM: &str = r#"
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let base = args.next().unwrap();
    let base = Path::new(&base);
    if args.next().as_deref() == Some("read") {
        print!("{}", fs::read_to_string(base.join("greeting"))?);
        let error = fs::write(base.join("new"), "x").unwrap_err();
        println!("{:?}", error.kind());
        return Ok(());
    }
    let dir = base.join("made/deep");
    fs::create_dir_all(&dir)?;
    let mut file = fs::OpenOptions::new().read(true).write(true).create(true).open(dir.join("a"))?;
    file.write_all(b"hello, files")?;
    file.seek(SeekFrom::Start(7))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    println!("{text} {}", file.metadata()?.len());
    file.set_len(5)?;
    fs::OpenOptions::new().append(true).open(dir.join("a"))?.write_all(b"!")?;
    fs::rename(dir.join("a"), dir.join("b"))?;
    fs::copy(dir.join("b"), dir.join("c"))?;
    fs::hard_link(dir.join("b"), dir.join("d"))?;
    let mut names: Vec<_> = fs::read_dir(&dir)?.map(|one| one.unwrap().file_name()).collect();
    names.sort();
    println!("{names:?} {}", fs::read_to_string(dir.join("c"))?);
    println!("{:?}", fs::read(base.join("../outside")).unwrap_err().kind());
    println!("{:?}", fs::read(base.join("missing")).unwrap_err().kind());
    fs::remove_file(dir.join("c"))?;
    fs::remove_dir_all(base.join("made"))?;
    println!("{}", base.join("made").exists());
    Ok(())
}
"#;

/// The program, compiled by `rustc`.
fn program(folder: &Path) -> PathBuf {
    let source = write(folder, "program.rs", PROGRAM);
    let wasm = folder.join("program.wasm");
    let status = Command::new("rustc")
        .args(["--target", "wasm32-wasip1", "--edition", "2024", "-O", "-o"])
        .args([&wasm, &source])
        .status();
    assert!(status.expect("rustc runs").success(), "is the target wasm32-wasip1 installed?");
    wasm
}

const WRITTEN: &str = "files 12\n[\"b\", \"c\", \"d\"] hello!\nPermissionDenied\nNotFound\nfalse\n";

#[test]
fn a_rust_program_uses_directories_as_its_standard_library_has_them() {
    let folder = scratch();
    let wasm = program(folder.path());
    run(&["build".as_ref(), wasm.as_os_str()]).expect(0, &[]);
    let artifact = wasm.with_extension("faas");
    let artifact = artifact.to_str().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(folder.path().join("outside"), "secret").unwrap();
    fs::write(data.join("greeting"), "hello\n").unwrap();
    let path = data.to_str().unwrap();
    let dir = format!("{path}::/data");
    let done = run(&["run", artifact, "--dir", &dir, "--", "/data", "write"]).expect(0, &[]);
    assert_eq!(done.stdout, WRITTEN, "{}", done.stderr);
    // Under its own name, and beside others.
    let other = scratch();
    let other = other.path().to_str().unwrap();
    let dirs = ["run", artifact, "--dir", other, "--dir", path, "--", path, "write"];
    assert_eq!(run(&dirs).expect(0, &[]).stdout, WRITTEN);
    let read_only = format!("{path}::/data:ro");
    let done = run(&["run", artifact, "--dir", &read_only, "--", "/data", "read"]).expect(0, &[]);
    assert_eq!(done.stdout, "hello\nReadOnlyFilesystem\n");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    // Without the directory there is nothing.
    run(&["run", artifact, "--", "/data", "read"]).expect(1, &["Error"]);
    let twice = ["run", artifact, "--dir", &dir, "--dir", &read_only];
    run(&twice).expect(2, &["two directories are called \"/data\""]);
}

#[test]
fn a_server_gives_directories_that_it_allows_and_names_those_it_does_not() {
    let folder = scratch();
    let (store, app) = (scratch(), folder.path().join("app"));
    fs::create_dir_all(app.join("data")).unwrap();
    let wasm = program(folder.path());
    fs::copy(&wasm, app.join("program.wasm")).unwrap();
    fs::write(app.join("data/greeting"), "served\n").unwrap();
    let manifest = "name = 'reader'\nwasm = 'program.wasm'\nargs = ['/data', 'read']\n\
                    [[dirs]]\nhost = 'data'\nguest = '/data'\nread_only = true\n";
    fs::write(app.join("faas.toml"), manifest).unwrap();
    let app = app.to_str().unwrap();
    assert_eq!(run(&["run", app]).expect(0, &[]).stdout, "served\nReadOnlyFilesystem\n");
    let arguments = ["serve", app, "--listen", "127.0.0.1:0", "--store"];
    let store_path = store.path().to_str().unwrap();
    let outside = ["data", "lies outside of the directories that this server allows"];
    run(&[&arguments[..], &[store_path]].concat()).expect(2, &outside);
    let elsewhere = scratch();
    let elsewhere = elsewhere.path().to_str().unwrap();
    run(&[&arguments[..], &[store_path, "--allow-dir", elsewhere]].concat()).expect(2, &outside);
    let server =
        Server::start(store.path(), &[app, "--allow-dir", folder.path().to_str().unwrap()]);
    for _ in 0..3 {
        let answer = server.get("/reader");
        assert_eq!(
            (answer.status, answer.text()),
            (200, "served\nReadOnlyFilesystem\n".to_owned())
        );
    }
}

/// Accepts a connection, reads what it says, answers it and ends.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "sock_accept"
      (func $accept (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
      (if (call $accept (i32.const 3) (i32.const 0) (i32.const 0)) (then unreachable))
      (i32.store (i32.const 16) (i32.const 100))
      (i32.store (i32.const 20) (i32.const 1000))
      (if (call $read (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 20))
        (then unreachable))
      (if (call $write (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 24))
        (then unreachable))))"#;

#[test]
fn a_program_accepts_connections_where_it_is_told_to() {
    let folder = scratch();
    let echo = write(folder.path(), "echo.wat", ECHO);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = port.to_string();
    let guest = {
        let (echo, address) = (echo.to_str().unwrap().to_owned(), address.clone());
        std::thread::spawn(move || run(&["run", &echo, "--listen", &address, "--timeout", "50s"]))
    };
    let mut stream = None;
    super::support::wait_until("the listener", || {
        stream = TcpStream::connect(&address).ok();
        stream.is_some()
    });
    let mut stream = stream.unwrap();
    stream.write_all(b"anybody there?").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "anybody there?");
    guest.join().unwrap().expect(0, &[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = taken.local_addr().unwrap().to_string();
    run(&["run", echo.to_str().unwrap(), "--listen", &name]).expect(2, &["cannot listen", &name]);
}
