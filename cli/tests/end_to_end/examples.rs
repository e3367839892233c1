//! Every function among the examples is built by its real compiler, run, and served. The examples for
//! embedders are packages of the workspace, with tests of their own.

use super::support::{EXAMPLES_FOLDER, Server, copy_example, run, run_with_stdin, scratch};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An example: a request, its answer, and where it is served.
struct Example {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    request: &'static str,
    answer: &'static str,
    /// What `run` prints of the artifact, where there is more to a request than a body.
    printed: Option<&'static str>,
    /// What it needs, and what installs that.
    needs: Needs,
}

enum Needs {
    Nothing,
    Rust,
    /// For modules that import nothing of a system.
    BareRust,
    /// For components.
    ComponentRust,
    C,
}

const EXAMPLES: &[Example] = &[
    Example {
        name: "hello",
        method: "POST",
        path: "/hello",
        request: "",
        answer: "hello, world from Awesome FaaS App!\n",
        printed: None,
        needs: Needs::Nothing,
    },
    Example {
        name: "rust-words",
        method: "POST",
        path: "/rust-words",
        request: "The cat, the dog; the cat! Ünder",
        answer: "{\"the\":3,\"cat\":2,\"dog\":1,\"ünder\":1}\n",
        printed: None,
        needs: Needs::Rust,
    },
    Example {
        name: "rust-primes",
        method: "POST",
        path: "/primes",
        request: "9999",
        answer: "104729\n", // the 10 000th prime
        printed: None,
        needs: Needs::Rust,
    },
    Example {
        name: "c-wordcount",
        method: "POST",
        path: "/wc",
        request: "one two\n three\n\n",
        answer: "3 lines, 3 words, 16 bytes\n",
        printed: None,
        needs: Needs::C,
    },
    Example {
        name: "rust-greetings",
        method: "POST",
        path: "/rust-greetings",
        request: "fr",
        answer: "bonjour, tout le monde (1 line in /tmp/log)\n",
        printed: None,
        needs: Needs::Rust,
    },
    Example {
        name: "cgi",
        method: "POST",
        path: "/cgi",
        request: "Hi!",
        answer: "486921",
        printed: Some("Content-Type: text/plain\nCache-Control: no-store\n\n by \n"),
        needs: Needs::C,
    },
    Example {
        name: "handler-rust",
        method: "GET",
        path: "/colour/ff8800",
        request: "",
        answer: "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"64\" height=\"64\">\
                 <rect width=\"64\" height=\"64\" fill=\"#ff8800\"/></svg>\n",
        printed: Some("a colour has six hexadecimal digits, as ff8800\n"),
        needs: Needs::Rust,
    },
    Example {
        name: "stream-rust",
        method: "POST",
        path: "/number",
        request: "one\ntwo",
        answer: "     1  one\n     2  two",
        printed: None,
        needs: Needs::Rust,
    },
    Example {
        name: "text-bot",
        method: "POST",
        path: "/text-bot",
        request: "2 + 40",
        answer: "42",
        printed: None,
        needs: Needs::BareRust,
    },
    Example {
        name: "action",
        method: "POST",
        path: "/action",
        request: "{\"name\": \"Ada\"}",
        answer: "{\"greeting\": \"Hello Ada!\"}",
        printed: None,
        needs: Needs::Rust,
    },
    Example {
        name: "extism",
        method: "POST",
        path: "/extism",
        request: "Hello, World!",
        answer: "{\"count\":3}",
        printed: None,
        needs: Needs::BareRust,
    },
    Example {
        name: "component-http",
        method: "GET",
        path: "/component-http",
        request: "",
        answer: "hello from a component: GET /component-http\n",
        printed: Some("hello from a component: GET /\n"),
        needs: Needs::ComponentRust,
    },
    Example {
        name: "component-service",
        method: "POST",
        path: "/component-service",
        request: "a body that comes back",
        answer: "POST /component-service: a body that comes back",
        printed: Some("GET /: a body that comes back"),
        needs: Needs::ComponentRust,
    },
    Example {
        name: "component-counter",
        method: "GET",
        path: "/counter",
        request: "",
        answer: "0\n",
        printed: None,
        needs: Needs::ComponentRust,
    },
];

/// A copy of the example, if what it needs is installed; otherwise a failure that says how.
#[track_caller]
fn prepare(example: &Example, folder: &Path) -> PathBuf {
    let runs = |program: &str, args: &[&str]| {
        Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
    };
    match example.needs {
        Needs::Nothing => {}
        Needs::Rust => check_rust_target("wasm32-wasip1"),
        Needs::BareRust => check_rust_target("wasm32-unknown-unknown"),
        Needs::ComponentRust => check_rust_target("wasm32-wasip2"),
        Needs::C => assert!(
            runs("clang", &["--version"])
                && runs("wasm-ld", &["--version"])
                && Path::new("/usr/lib/wasm32-wasi/libc.a").exists(),
            "missing: run `apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32`"
        ),
    }
    copy_example(example.name, folder)
}

#[track_caller]
fn check_rust_target(target: &str) {
    let libdir = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .expect("rustc starts");
    let libdir = String::from_utf8_lossy(&libdir.stdout).trim().to_owned();
    assert!(Path::new(&libdir).is_dir(), "missing: run `rustup target add {target}`");
}

#[test]
fn every_folder_is_in_the_list() {
    let mut folders: Vec<_> = std::fs::read_dir(EXAMPLES_FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // Interpreters have tests of their own.
        .filter(|name| !["embed-", "python", "quickjs"].iter().any(|own| name.starts_with(own)))
        .collect();
    folders.sort();
    let mut listed: Vec<_> = EXAMPLES.iter().map(|example| example.name).collect();
    listed.sort();
    assert_eq!(folders, listed);
}

#[test]
fn all_build_verify_and_run() {
    let folder = scratch();
    for example in EXAMPLES {
        let source = prepare(example, folder.path());
        let built = run(&["build".as_ref(), source.as_os_str(), "--json".as_ref()]).expect(0, &[]);
        let artifact = built.json()["artifact"].as_str().unwrap().to_owned();
        assert!(artifact.ends_with(&format!("target/{}.faas", example.name)), "{artifact}");
        assert_eq!(built.json()["initialised"], true, "{}", example.name);

        let verified = run(&["verify", &artifact]).expect(0, &[]);
        assert!(verified.stdout.contains(built.json()["hash"].as_str().unwrap()));

        let inspected = run(&["inspect", &artifact, "--json"]).expect(0, &[]).json();
        assert_eq!(inspected["hash"], built.json()["hash"]);
        assert_eq!(inspected["bounds"]["strategy"], "guard");
        let mut imports = inspected["imports"].as_array().unwrap().iter();
        assert!(imports.all(|item| item["support"] != "missing"), "{}", example.name);

        // Stores are granted by `faas.toml`, which the artifact alone has not.
        let is_granted = example.name == "component-counter";
        let program = if is_granted { source.to_str().unwrap() } else { &artifact };
        let answer = run_with_stdin(&["run", program], example.request.as_bytes());
        let printed = example.printed.unwrap_or(example.answer);
        assert_eq!(answer.expect(0, &[]).stdout, printed, "{}", example.name);
    }
}

/// A real compiler's code, with the checks that each strategy makes, and what is proved of them
/// asserted.
#[test]
fn every_bounds_strategy_gives_the_same_answer() {
    let folder = scratch();
    let example = EXAMPLES.iter().find(|example| example.name == "rust-words").unwrap();
    let source = prepare(example, folder.path());
    for strategy in ["guard-uffd", "trap", "clamp", "none"] {
        let mut arguments = vec!["build".as_ref(), source.as_os_str(), "--json".as_ref()];
        arguments.extend(["--verify-bounds", "--bounds", strategy].map(std::ffi::OsStr::new));
        if strategy == "none" {
            arguments.push("--unsafe-no-bounds".as_ref());
        }
        let built = run(&arguments).expect(0, &[]).json();
        let artifact = built["artifact"].as_str().unwrap();
        let answer = run_with_stdin(&["run", artifact], example.request.as_bytes());
        assert_eq!(answer.expect(0, &[]).stdout, example.answer, "{strategy}");
    }
}

#[test]
fn all_are_served_at_once() {
    let folder = scratch();
    let sources: Vec<_> = EXAMPLES.iter().map(|example| prepare(example, folder.path())).collect();
    // A server is waited for as long as one build may take.
    for source in &sources {
        run(&["build".as_ref(), source.as_os_str()]).expect(0, &[]);
    }
    let server = Server::start(&folder.path().join("store"), &sources);
    for _ in 0..3 {
        for example in EXAMPLES {
            let body = example.request.as_bytes();
            let answer = server.request(example.method, example.path, &[], body);
            assert_eq!(answer.status, 200, "{}: {}", example.name, answer.text());
            assert_eq!(answer.text(), example.answer);
        }
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_rust_table_is_in_the_image() {
    let folder = scratch();
    let source = prepare(&EXAMPLES[2], folder.path());
    // 78 498 primes are below a million. What initialisation prints is no part of the result.
    run(&["build".as_ref(), source.as_os_str()])
        .expect(0, &["rust-primes: 78498 primes are ready"]);
    let artifact = source.join("target/rust-primes.faas");
    let inspected = run(&["inspect".as_ref(), artifact.as_os_str(), "--json".as_ref()]).json();
    // The table alone takes 78 498 × 4 bytes.
    assert!(inspected["image"]["stored_pages"].as_u64().unwrap() >= 76);
}

#[test]
fn a_build_is_kept_until_something_changes() {
    let folder = scratch();
    let source = prepare(&EXAMPLES[0], folder.path());
    let first = run(&["run".as_ref(), source.as_os_str()]).expect(0, &["building hello"]);
    assert_eq!(first.stdout, EXAMPLES[0].answer);
    let second = run(&["run".as_ref(), source.as_os_str()]).expect(0, &[]);
    assert_eq!(second.stdout, EXAMPLES[0].answer);
    assert!(!second.stderr.contains("building"), "{}", second.stderr);

    let wat = source.join("hello.wat");
    let text = std::fs::read_to_string(&wat).unwrap().replace("hello, world", "howdy, world");
    std::fs::write(&wat, text).unwrap();
    let third = run(&["run".as_ref(), source.as_os_str()]).expect(0, &["building hello"]);
    assert_eq!(third.stdout, "howdy, world from Awesome FaaS App!\n");
}
