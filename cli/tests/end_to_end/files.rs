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

/// A command that reads `text` in its first directory, writes it to stdout, then overwrites its first byte.
/// With the init export `prepare` it has read it before, and only writes.
const READER: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open" (func $path_open
      (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite"
      (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 100) "text")
    (data (i32.const 200) "\00\02\00\00\10\00\00\00")
    (data (i32.const 208) "\64\00\00\00\01\00\00\00")
    (func $open (param $rights i64)
      (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 4)
          (i32.const 0) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 300))
        (then unreachable))
      (if (call $read (i32.load (i32.const 300)) (i32.const 200) (i32.const 1) (i32.const 304))
        (then unreachable)))
    (func (export "prepare") (call $open (i64.const 2))
      (drop (call $close (i32.load (i32.const 300)))))
    (func (export "leave") (call $open (i64.const 2)))
    (func (export "_start")
      (if (i32.eqz (i32.load (i32.const 304)))
        (then (call $open (i64.const 70))
          (if (call $pwrite (i32.load (i32.const 300)) (i32.const 208) (i32.const 1) (i64.const 0)
              (i32.const 308))
            (then unreachable))))
      (i32.store (i32.const 204) (i32.load (i32.const 304)))
      (drop (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 308)))))"#;

/// A folder with that command, a directory `data`, and more in its faas.toml.
fn reader(folder: &Path, manifest: &str) -> String {
    let app = folder.join("app");
    fs::create_dir_all(app.join("data")).unwrap();
    write(&app, "app.wat", READER);
    write(&app.join("data"), "text", "one");
    let dirs = "[[dirs]]\nhost = 'data'\nguest = '/data'\n";
    write(&app, "faas.toml", format!("name = 'reader'\nwasm = 'app.wat'\n{manifest}\n{dirs}"));
    app.to_str().unwrap().to_owned()
}

#[test]
fn an_initialisation_reads_a_directory_anew_each_time() {
    let (folder, caches) = (scratch(), scratch());
    let app = reader(folder.path(), "init = 'prepare'");
    let build = || {
        let built = super::support::faascli(&["build", &app])
            .env("XDG_CACHE_HOME", caches.path())
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        run(&["run", &format!("{app}/target/reader.faas")]).expect(0, &[]).stdout
    };
    assert_eq!(build(), "one");
    let text = Path::new(&app).join("data/text");
    fs::write(&text, "other").unwrap();
    assert_eq!(build(), "other", "the module is the same, what it reads is not");
    let text = text.canonicalize().unwrap();
    let open = format!("descriptor 4, {}", text.display());
    run(&["build", &app, "--init", "leave"]).expect(2, &[&open]);
    fs::remove_file(text).unwrap();
    run(&["build", &app]).expect(134, &["unreachable"]);
    fs::remove_dir(Path::new(&app).join("data")).unwrap();
    run(&["build", &app]).expect(2, &["dirs:", "data", "No such file"]);
}

#[test]
fn an_overlay_takes_the_changes_of_a_request_and_forgets_them() {
    let (folder, store) = (scratch(), scratch());
    let app = reader(folder.path(), "[limits]\ntmp = '1MiB'");
    let manifest = Path::new(&app).join("faas.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.clone() + "overlay = true\n").unwrap();
    let server =
        Server::start(store.path(), &[&app, "--allow-dir", folder.path().to_str().unwrap()]);
    for _ in 0..3 {
        let answer = server.get("/reader");
        assert_eq!((answer.status, answer.text()), (200, "one".to_owned()));
    }
    let kept = || fs::read_to_string(Path::new(&app).join("data/text")).unwrap();
    assert_eq!(kept(), "one");
    // By an option, too; and without the overlay the file is another one afterwards.
    let artifact = format!("{app}/target/reader.faas");
    let dir = format!("{app}/data::/data");
    let over = format!("{dir}:overlay");
    run(&["run", &artifact, "--dir", &over, "--tmp", "1MiB"]).expect(0, &[]);
    assert_eq!(kept(), "one");
    run(&["run", &artifact, "--dir", &over, "--tmp", "0"]).expect(2, &["limits.tmp"]);
    run(&["run", &artifact, "--dir", &dir]).expect(0, &[]);
    assert_eq!(kept(), "tne");
    fs::write(&manifest, text + "overlay = true\nread_only = true\n").unwrap();
    run(&["run", &app]).expect(2, &["either read-only or an overlay"]);
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
