//! The table of protocols: whatever is in it works, is documented, and is known nowhere else; and a
//! protocol of a stranger's is one file and one line.

mod common;
#[path = "protocols/shout.rs"]
mod shout;

use common::{engine, handle, spec};
use std::path::{Path, PathBuf};
use wfaas_function::{Abi, AbiError, About, Exchange, Function, Protocols, RequiredType, Spec};
use wfaas_vm::Module;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The line.
fn protocols() -> Protocols {
    Protocols::default().with(&shout::Shout)
}

fn function(wat: &str, spec: Spec) -> Function {
    let engine = engine();
    let module = Module::from_bytes(&engine, &common::build(wat)).unwrap();
    Function::with_protocols(&engine, &module, spec, &protocols()).unwrap()
}

/// The protocol's example as a module.
fn example(about: &About) -> String {
    format!(
        r#"(module {}
          (memory (export "memory") 1)
          (func $run (param i32) (result i32)
            (i32.store (i32.const 0) (local.get 0)) (local.get 0))
          {})"#,
        about.example_imports, about.example
    )
}

#[test]
fn a_third_protocol_serves_exchanges() {
    let greet = function(shout::GUEST, spec());
    assert_eq!(greet.abi().name, "shout");
    for _ in 0..3 {
        assert_eq!(handle(&greet, "ada").unwrap(), b"HELLO ada, call 1");
    }
    let answer = greet.handle(Exchange::with_body("ada")).unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["x-volume"], "11");
    assert!(handle(&greet, "").unwrap_err().to_string().contains("nothing to shout"));
    let named = Spec { abi: Some(Abi::new("shout")), ..spec() };
    assert_eq!(handle(&function(shout::GUEST, named), "x").unwrap(), b"HELLO x, call 1");
}

#[test]
fn a_module_that_speaks_none_is_told_all_of_them() {
    let engine = engine();
    let module = Module::from_bytes(&engine, &common::build("(module)")).unwrap();
    let Err(AbiError::Neither { expected }) = protocols().recognise(&module) else {
        panic!("it speaks one")
    };
    for protocol in protocols().iter() {
        let About { guest, exports, .. } = protocol.about();
        for sign in exports.iter().filter(|required| required.sign) {
            assert!(expected.contains(guest), "{expected}");
            assert!(expected.contains(&format!("`{}`", sign.name)), "{expected}");
        }
    }
    let unknown = protocols().get("fastcgi").err().unwrap().to_string();
    assert!(unknown.contains("`shout`"), "{unknown}");
}

#[test]
fn every_example_is_a_guest_of_its_protocol() {
    for protocol in protocols().iter() {
        let about = protocol.about();
        if !about.lifted.is_empty() {
            continue; // `component/` has guests
        }
        let by_name = !about.exports.iter().any(|it| it.sign) && about.imports.is_empty();
        let abi = by_name.then(|| Abi::new(about.name));
        let guest = function(&example(about), Spec { abi, ..spec() });
        assert_eq!(guest.abi().name, about.name);
        for body in [r#"{"text": "x"}"#, r#"{"text": "y"}"#] {
            handle(&guest, body).unwrap_or_else(|error| panic!("{}: {error}", about.name));
        }
    }
}

/// The row of the table in the documentation.
fn row(about: &About) -> String {
    let export = |required: &wfaas_function::Required| match required.ty {
        RequiredType::Func(..) => {
            format!("`{}: {}`", required.name, required.ty).replace("function ", "")
        }
        RequiredType::AnyFunc | RequiredType::Memory => format!("`{}`", required.name),
    };
    let imports = about.imports.iter().map(|module| format!("imports of `{module}`"));
    let lifted = about.lifted.iter().map(|(interface, name)| format!("`{name}` of `{interface}`"));
    let exports = about.exports.iter().map(export).chain(imports).chain(lifted);
    let exports: Vec<String> = exports.collect();
    let About { name, guest, body, answer, .. } = about;
    format!("| {guest} | `{name}` | {} | {body} | {answer} |", exports.join(", "))
}

#[test]
fn the_documentation_has_the_table() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/guest-abi.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("| kind | `abi` |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let table: Vec<String> =
        Protocols::default().iter().map(|protocol| row(protocol.about())).collect();
    assert_eq!(rows, table);
}

/// The Rust files below a folder.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A line without its comment, if that begins with two slashes and a space.
fn code(line: &str) -> &str {
    let end = ["// ", "/// ", "//! "].iter().filter_map(|start| line.find(start)).min();
    &line[..end.unwrap_or(line.len())]
}

/// Whether `text` contains `word`, and not as a part of a longer word.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside)
    })
}

/// The files in which a line of the product is like this.
fn knowing<'a>(files: &'a [PathBuf], knows: &dyn Fn(&str) -> bool) -> Vec<&'a PathBuf> {
    let is_knowing = |path: &&PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        product.lines().any(knows) && !path.ends_with("tests.rs")
    };
    files.iter().filter(is_knowing).collect()
}

#[test]
fn nothing_else_knows_a_protocol() {
    let mut files = Vec::new();
    for part in ["abi", "compiler", "snapshot", "vm", "wasi", "function", "build", "gateway", "cli"]
    {
        sources(&Path::new(ROOT).join(part).join("src"), &mut files);
    }
    assert!(files.len() > 100);
    for protocol in Protocols::default().iter() {
        let About { name, exports, .. } = protocol.about();
        let signs: Vec<&str> =
            exports.iter().filter(|required| required.sign).map(|required| required.name).collect();
        let name_in = |line: &str| code(line).contains(&format!("\"{name}\""));
        let sign_in = |line: &str| signs.iter().any(|sign| has_word(code(line), sign));
        let is_protocol =
            |path: &&PathBuf| path.parent().unwrap().ends_with("function/src/protocols");
        let knowing = knowing(&files, &name_in);
        assert_eq!(knowing.len(), 1, "{name} is known in {knowing:?}");
        // A guest of one may be called as that of another one is.
        let all: Vec<&PathBuf> =
            knowing.into_iter().chain(self::knowing(&files, &sign_in)).collect();
        assert!(all.iter().all(is_protocol), "{name} is known in {all:?}");
    }
}
