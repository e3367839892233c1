//! Deployment to a running server: it is all or nothing, and it stays.

use super::support::{Server, build, copy_example, faascli, run, saying, scratch, write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A command that answers `text` and carries `kib` KiB of noise in its image.
fn saying_with_ballast(text: &str, kib: usize) -> String {
    let mut state = 12345u32;
    let mut noise = String::new();
    for _ in 0..kib * 1024 {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        noise += &format!("\\{:02x}", state >> 24);
    }
    let pages = 2 + kib / 64;
    saying(text).replace(
        "\"memory\") 1)",
        &format!("\"memory\") {pages}) (data (i32.const 65536) \"{noise}\")"),
    )
}

#[track_caller]
fn deploy(server: &Server, artifact: &Path) {
    let url = server.url();
    run(&[
        "deploy".as_ref(),
        artifact.as_os_str(),
        "--server".as_ref(),
        url.as_ref(),
        "--name".as_ref(),
        "app".as_ref(),
    ])
    .expect(0, &[]);
}

fn start(store: &Path) -> Server {
    Server::start::<&str>(store, &[])
}

/// How many files a folder of the store has.
fn files(store: &Path, folder: &str) -> usize {
    std::fs::read_dir(store.join(folder)).expect("a folder of the store").count()
}

#[test]
fn a_deployment_is_served_listed_and_survives_a_restart() {
    let folder = scratch();
    let store = folder.path().join("store");
    let one = build(folder.path(), "one", &saying("one"));
    let two = build(folder.path(), "two", &saying("two"));
    let server = start(&store);
    assert_eq!(server.get("/app").status, 404);
    deploy(&server, &one);
    assert_eq!(server.get("/app").text(), "one");
    deploy(&server, &two);
    assert_eq!(server.get("/app").text(), "two");
    let list: serde_json::Value =
        serde_json::from_slice(&server.get("/v1/functions").body).expect("JSON");
    assert!(list.to_string().contains("\"app\""), "{list}");
    assert_eq!(server.stop(), Some(0));

    let server = start(&store);
    assert_eq!(server.get("/app").text(), "two");
}

#[test]
fn folders_and_modules_are_deployed_with_their_settings() {
    let folder = scratch();
    let server = start(&folder.path().join("store"));
    let url = server.url();
    let hello = copy_example("hello", folder.path());
    let done = run(&["deploy", hello.to_str().unwrap(), "--server", &url, "--json"]).expect(0, &[]);
    assert_eq!(done.json()["name"], "hello");
    assert_eq!(done.json()["url"], format!("{url}/hello"));
    assert_eq!(done.json()["stored"], true);
    assert_eq!(server.get("/hello").text(), "hello, world from Awesome FaaS App!\n");

    let limited = folder.path().join("limited");
    std::fs::create_dir(&limited).unwrap();
    write(
        &limited,
        "a.wat",
        "(module (memory (export \"memory\") 1)
        (func (export \"_start\") (loop $again (br $again))))",
    );
    write(&limited, "faas.toml", "wasm = 'a.wat'\nroute = '/quick/one'\nlimits.time = '200ms'\n");
    run(&["deploy", limited.to_str().unwrap(), "--server", &url]).expect(0, &[]);
    assert_eq!(server.get("/quick/one").status, 504);
    assert_eq!(server.get("/quick").status, 404);
}

#[test]
fn no_request_fails_while_versions_change() {
    let folder = scratch();
    let one = build(folder.path(), "one", &saying("one"));
    let two = build(folder.path(), "two", &saying("two"));
    let server = start(&folder.path().join("store"));
    deploy(&server, &one);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = || {
            let mut answers = 0;
            while !done.load(Ordering::Relaxed) {
                let answer = server.get("/app");
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(["one", "two"].contains(&answer.text().as_str()), "{}", answer.text());
                answers += 1;
            }
            answers
        };
        let clients = [scope.spawn(client), scope.spawn(client)];
        for round in 0..6 {
            deploy(&server, if round % 2 == 0 { &two } else { &one });
        }
        done.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
}

#[test]
fn a_damaged_upload_changes_nothing() {
    let folder = scratch();
    let one = build(folder.path(), "one", &saying("one"));
    let server = start(&folder.path().join("store"));
    deploy(&server, &one);
    let good = std::fs::read(build(folder.path(), "two", &saying("two"))).unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for body in [&good[..good.len() - 1], &damaged, b"", b"no artifact at all"] {
        let answer = server.request("PUT", "/v1/functions/app", &[], body);
        assert!((400..500).contains(&answer.status), "{}: {}", answer.status, answer.text());
        assert!(!answer.text().is_empty(), "a refusal has an explanation");
    }
    let no_function = build(folder.path(), "none", "(module)");
    let url = server.url();
    let args = ["deploy", no_function.to_str().unwrap(), "--server", &url, "--name", "app"];
    run(&args).expect(2, &["_start", "faas_handle"]);
    assert_eq!(server.get("/app").text(), "one");
}

#[test]
fn a_token_is_needed_when_there_is_one() {
    let folder = scratch();
    let one = build(folder.path(), "one", &saying("one"));
    let token = write(folder.path(), "token", "s3cret-of-this-test\n");
    let wrong = write(folder.path(), "wrong", "another\n");
    let (token, wrong) = (token.to_str().unwrap(), wrong.to_str().unwrap());
    let server = Server::start(&folder.path().join("store"), &["--token-file", token]);
    let url = server.url();
    let args = ["deploy", one.to_str().unwrap(), "--server", &url];
    run(&args).expect(2, &["token"]);
    run(&[&args[..], &["--token-file", wrong]].concat()).expect(2, &["token"]);
    assert_eq!(server.get("/one").status, 404);
    run(&[&args[..], &["--token-file", token]].concat()).expect(0, &[]);
    assert_eq!(server.get("/one").text(), "one");
    let by_variable = faascli(&args).env("WFAAS_TOKEN", "s3cret-of-this-test").output().unwrap();
    assert_eq!(by_variable.status.code(), Some(0), "{by_variable:?}");
    assert!(!server.log().contains("s3cret"), "the log keeps no secrets");
}

#[test]
fn a_server_killed_during_a_deployment_has_the_old_or_the_new() {
    let folder = scratch();
    let store = folder.path().join("store");
    let names = ["zero", "one"];
    let artifacts: Vec<_> = names
        .iter()
        .map(|name| build(folder.path(), name, &saying_with_ballast(name, 1024)))
        .collect();
    let server = start(&store);
    deploy(&server, &artifacts[0]);
    server.kill();
    let mut current = 0;
    let mut seen = [0, 0];
    for round in 0..12u64 {
        let server = start(&store);
        assert_eq!(server.get("/app").text(), names[current], "round {round}");
        let next = 1 - current;
        let url = server.url();
        let mut upload = faascli(&["deploy".as_ref(), artifacts[next].as_os_str()])
            .args(["--server", &url, "--name", "app"])
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // From before the upload to after its end.
        std::thread::sleep(Duration::from_millis(round * round * 2));
        server.kill();
        upload.wait().unwrap();

        let server = start(&store);
        let answer = server.get("/app");
        assert_eq!(answer.status, 200, "round {round}: {}", server.log());
        current = names.iter().position(|name| *name == answer.text()).expect("old or new");
        seen[usize::from(current == next)] += 1;
        assert_eq!((files(&store, "tmp"), files(&store, "blobs")), (0, 1), "round {round}");
        server.kill();
    }
    assert!(seen[0] > 0, "no kill came before the end of a deployment: {seen:?}");
}

#[test]
fn a_full_disk_keeps_the_old_deployment() {
    let folder = scratch();
    let small = build(folder.path(), "small", &saying("small"));
    let large = build(folder.path(), "large", &saying_with_ballast("large", 3 << 10));
    let store = folder.path().join("store");
    std::fs::create_dir(&store).unwrap();
    // A disk of 2 MiB that only this server sees and that ends with it.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=2M none \"$1\" && exec \"$2\" serve --listen 127.0.0.1:0 --store \"$1\"");
    command.arg("sh").arg(&store).arg(env!("CARGO_BIN_EXE_faascli"));
    let server = Server::spawn(command);
    deploy(&server, &small);
    let url = server.url();
    let args = ["deploy", large.to_str().unwrap(), "--server", &url, "--name", "app"];
    run(&args).expect(1, &["disk is full"]);
    assert_eq!(server.get("/app").text(), "small");
    deploy(&server, &small);
    assert_eq!(server.get("/app").text(), "small");
}
