//! Files that an artifact takes along: what guests find, change, and leave behind.

use super::support::{Server, faascli, run, scratch, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// Reads, lists and stats files of its artifact, and changes what it can.
const PROGRAM: &str = r#"
use std::fs;
use std::time::UNIX_EPOCH;
fn main() {
    let mut names: Vec<String> = fs::read_dir("/usr/lib").unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    println!("{}", names.join(" "));
    println!("{}", fs::read_to_string("/usr/lib/link").unwrap());
    let modified = fs::metadata("/usr/lib/sub/data").unwrap().modified().unwrap();
    println!("{:?}", modified.duration_since(UNIX_EPOCH).unwrap());
    let kind = |result: std::io::Result<()>| match result {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("errno {}", error.raw_os_error().unwrap()),
    };
    println!("{}", kind(fs::write("/tmp/new", "x")));
    println!("{}", kind(fs::write("/usr/lib/sub/data", "changed")));
    println!("{}", kind(fs::remove_file("/usr/lib/link")));
    println!("{}", kind(fs::rename("/tmp/new", "/usr/lib/new")));
    println!("{}", kind(fs::write("/tmp/big", vec![7; 2 << 20])));
}
"#;

/// The program as a module.
fn module(folder: &Path) -> PathBuf {
    let source = write(folder, "program.rs", PROGRAM);
    let module = folder.join("program.wasm");
    let status = Command::new("rustc")
        .args(["--target", "wasm32-wasip1", "-C", "opt-level=1", "-C", "panic=abort", "-o"])
        .args([module.as_os_str(), source.as_os_str()])
        .status();
    assert!(status.expect("rustc starts").success(), "run `rustup target add wasm32-wasip1`");
    module
}

/// A folder with a file, a file in a folder, of a known time, and a link to that.
fn library(folder: &Path) -> PathBuf {
    let library = folder.join("lib");
    std::fs::create_dir_all(library.join("sub")).unwrap();
    write(&library, "empty", "");
    let data = write(&library.join("sub"), "data", "content");
    std::os::unix::fs::symlink("sub/data", library.join("link")).unwrap();
    let time = UNIX_EPOCH + Duration::new(1_000_000_000, 999_000_000);
    std::fs::File::open(data).unwrap().set_modified(time).unwrap();
    library
}

const READ: &str = "empty link sub\ncontent\n1000000000s\n";
/// EROFS.
const READ_ONLY: &str = "errno 69\nerrno 69\nerrno 69\nerrno 69\nerrno 69\n";
/// ENOSPC at last.
const WRITABLE: &str = "done\ndone\ndone\ndone\nerrno 51\n";

#[test]
fn guests_read_the_files_and_leave_nothing_behind() {
    let folder = scratch();
    let (module, library) = (module(folder.path()), library(folder.path()));
    let function = |name: &str, limits: &str| {
        let home = folder.path().join(name);
        std::fs::create_dir(&home).unwrap();
        let manifest = format!(
            "wasm = {module:?}\n[files]\n{library:?} = '/usr/lib'\n[limits]\ntime = '20s'\n{limits}"
        );
        write(&home, "faas.toml", manifest);
        home
    };
    let functions = [function("reader", ""), function("writer", "tmp = '1MiB'")];
    let server = Server::start(&folder.path().join("store"), &functions);
    for _ in 0..3 {
        for (route, changes) in [("/reader", READ_ONLY), ("/writer", WRITABLE)] {
            let answer = server.post(route, b"");
            assert_eq!((answer.status, answer.text()), (200, format!("{READ}{changes}")));
        }
    }
    assert_eq!(server.stop(), Some(0));
    let ran = run(&["run".as_ref(), functions[1].as_os_str()]).expect(0, &[]);
    assert_eq!(ran.stdout, format!("{READ}{WRITABLE}"));
    assert_eq!(std::fs::read_to_string(library.join("sub/data")).unwrap(), "content");
}

#[test]
fn the_same_files_give_the_same_artifact_and_inspect_counts_them() {
    let folder = scratch();
    let module = write(folder.path(), "a.wat", "(module (func (export \"_start\")))");
    let library = library(folder.path());
    let files = format!("{}::/usr/lib", library.display());
    let build = |output: &str| {
        let output = folder.path().join(output);
        let built = faascli(&["build", module.to_str().unwrap(), "--files", &files, "-o"])
            .arg(&output)
            .output();
        assert!(built.unwrap().status.success());
        output
    };
    let (one, other) = (build("one.faas"), build("other.faas"));
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());
    let inspected = run(&["inspect".as_ref(), one.as_os_str(), "--json".as_ref()]).expect(0, &[]);
    let counts = serde_json::json!({"files": 2, "directories": 5, "symlinks": 1, "bytes": 7});
    assert_eq!(inspected.json()["files"], counts);
    let shown = run(&["inspect".as_ref(), one.as_os_str()]).expect(0, &[]).stdout;
    assert!(
        shown.contains("files      2 with 7 bytes, in 5 directories; symbolic links: 1"),
        "{shown}"
    );
    run(&["verify".as_ref(), one.as_os_str()]).expect(0, &[]);
    std::fs::write(library.join("empty"), "no longer").unwrap();
    assert_ne!(std::fs::read(build("third.faas")).unwrap(), std::fs::read(&one).unwrap());
}

#[test]
fn files_that_cannot_be_taken_along_are_named() {
    let folder = scratch();
    let module = write(folder.path(), "a.wat", "(module (func (export \"_start\")))");
    let library = library(folder.path());
    std::os::unix::fs::symlink("../../secret", library.join("leads out")).unwrap();
    let build = |files: String| run(&["build", module.to_str().unwrap(), "--files", &files]);
    let named = |path: &Path, guest: &str| build(format!("{}::{guest}", path.display()));
    named(&library, "/usr/lib").expect(2, &["leads out", "../../secret"]);
    named(&folder.path().join("missing"), "/a").expect(2, &["missing"]);
    named(&module, "relative").expect(2, &["relative", "absolute"]);
    named(&module, "/a/../b").expect(2, &["/a/../b"]);
}

/// A module that reads its file while it is initialised.
#[test]
fn the_files_are_there_during_initialisation() {
    let folder = scratch();
    let source = r#"
        #![no_main]
        static mut TEXT: Option<String> = None;
        #[unsafe(export_name = "wizer.initialize")]
        extern "C" fn initialise() {
            let text = std::fs::read_to_string("/etc/text").unwrap();
            unsafe { TEXT = Some(text) };
        }
        #[unsafe(no_mangle)]
        extern "C" fn _start() {
            #[allow(static_mut_refs)]
            let text = unsafe { TEXT.clone() };
            println!("{text:?} {:?}", std::fs::read_to_string("/etc/text"));
        }"#;
    let source = write(folder.path(), "init.rs", source);
    let module = folder.path().join("init.wasm");
    let status = Command::new("rustc")
        .args(["--target", "wasm32-wasip1", "--crate-type", "cdylib", "-o"])
        .args([module.as_os_str(), source.as_os_str()])
        .status();
    assert!(status.expect("rustc starts").success());
    let text = write(folder.path(), "text", "kept");
    let artifact = folder.path().join("init.faas");
    let files = format!("{}::/etc/text", text.display());
    let built = faascli(&["build", module.to_str().unwrap(), "--files", &files, "-o"])
        .arg(&artifact)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = run(&["run".as_ref(), artifact.as_os_str()]).expect(0, &[]);
    assert_eq!(ran.stdout, "Some(\"kept\") Ok(\"kept\")\n");
}
