//! Key-value stores of components, through the real binary.

use super::components::built;
use super::support::{Server, copy_example, faascli, run, scratch, wait_until, write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program that calls every function of the interfaces, built; its folder.
fn keyvalue(folder: &Path, stores: &str) -> PathBuf {
    let wasm = built("keyvalue");
    let toml = format!("name = 'keyvalue'\nwasm = '{}'\n{stores}", wasm.display());
    write(folder, "faas.toml", toml);
    folder.to_owned()
}

/// The program's output, by the interfaces' documents and the limits of `docs/stores.md`.
const PRINTED: &str = r#"Some(Error::AccessDenied)
Ok(None) Ok(false)
Ok(Some([111, 110, 101])) Ok(true)
Ok(3)
Err(Error::Other("the number is out of range"))
Err(Error::Other("the value is not a decimal number of 64 bits, or would not be one"))
Ok([Some(("b", [116, 119, 111])), None, Some(("c", []))])
Ok(KeyResponse { keys: ["c", "count"], cursor: None })
Err(Error::Other("the cursor is not the bucket's last one"))
1024 Some(1024) 76 None
Some("1099")
1024 Some("1023") 76 None
Ok(KeyResponse { keys: [], cursor: None })
Ok(-5)
Ok(Some([45, 53])) Ok(Some([45, 53]))
true
failed: Ok(Some([116, 104, 101, 105, 114, 115]))
true
Ok([("n", Some([109, 105, 110, 101])), ("x", None)])
Err(Error::Other("a key has to have 1 to 1024 bytes"))
Err(Error::Other("a key has to have 1 to 1024 bytes"))
Err(Error::Other("keys and values of one operation may have 1048576 bytes together"))
Ok(())
Ok(true)
Err(Error::Other("an operation has 257 keys: it may have 256"))
Some(Error::AccessDenied)
Ok(Some([109, 105, 110, 101])) Ok(true) Ok(false)
Ok(["m", "n"])
Ok(["n"])
Ok("hello") Err(Error::Undefined("nothing"))
"#;

#[test]
fn every_function_of_the_interfaces_works() {
    let folder = scratch();
    let granted = "[stores]\ndefault = {}\n[config]\ngreeting = 'hello'\n";
    let program = keyvalue(folder.path(), granted);
    let server = Server::start(&folder.path().join("store"), &[&program]);
    let answer = server.post("/keyvalue", b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, PRINTED), "{}", server.log());
    assert_eq!(run(&["run".as_ref(), program.as_os_str()]).expect(0, &[]).stdout, PRINTED);
}

#[test]
fn a_store_that_is_not_granted_ends_the_component() {
    let folder = scratch();
    let program = keyvalue(folder.path(), "");
    let server = Server::start(&folder.path().join("store"), &[&program]);
    assert_eq!(server.post("/keyvalue", b"").status, 500);
    let expected = "the component called wasi:keyvalue/store open, which it is not granted";
    // The log is written by a thread of its own.
    wait_until("the reason is in the log", || server.log().contains(expected));
}

/// The example that counts, with a copy for each of these functions.
fn counters(folder: &Path, tomls: &[(&str, &str)]) -> Vec<PathBuf> {
    let example = copy_example("component-counter", folder);
    run(&["build".as_ref(), example.as_os_str()]).expect(0, &[]);
    let wasm = example.join("target/wasm32-wasip2/release/component_counter.wasm");
    let copy = |(name, toml): &(&str, &str)| {
        let copy = folder.join(name);
        std::fs::create_dir(&copy).unwrap();
        let toml = format!("name = '{name}'\nwasm = '{}'\n{toml}", wasm.display());
        write(&copy, "faas.toml", toml);
        copy
    };
    tomls.iter().map(copy).collect()
}

#[test]
fn a_count_is_there_after_a_restart_and_nobody_elses() {
    let folder = scratch();
    let functions = counters(
        folder.path(),
        &[
            ("mine", "[stores]\ndefault = {}"),
            ("other", "[stores]\ndefault = {}"),
            ("theirs", "tenant = 'they'\n[stores]\ndefault = {}"),
            ("all", "[stores]\ndefault = { shared = true }"),
            ("everyone", "[stores]\ndefault = { shared = true }"),
            ("them", "tenant = 'they'\n[stores]\ndefault = { shared = true }"),
        ],
    );
    let tenants = write(folder.path(), "tenants.toml", "[they]\n");
    let mut arguments: Vec<_> = functions.iter().map(|path| path.as_os_str()).collect();
    arguments.extend(["--tenants".as_ref(), tenants.as_os_str()]);
    let store = folder.path().join("store");
    let server = Server::start(&store, &arguments);
    let count = |server: &Server, function: &str, name: &str| {
        server.post(&format!("/{function}/{name}"), b"").text()
    };
    let counts = ["1\n", "2\n"].map(|_| count(&server, "mine", "a"));
    assert_eq!(counts, ["1\n", "2\n"]);
    assert_eq!(count(&server, "mine", "b"), "1\n");
    assert_eq!(server.stop(), Some(0));

    let server = Server::start(&store, &arguments);
    assert_eq!(count(&server, "mine", "a"), "3\n");
    assert_eq!(server.get("/mine/a").text(), "3\n");
    for function in ["other", "theirs", "all", "them"] {
        assert_eq!(count(&server, function, "a"), "1\n", "{function}");
    }
    assert_eq!(count(&server, "everyone", "a"), "2\n", "a shared store");
}

/// A Redis that takes connections by TLS, with a certificate for `localhost`.
struct Redis {
    process: Child,
    port: u16,
}

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/tests/certificates");

impl Redis {
    fn start(folder: &Path) -> Redis {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--requirepass",
                "s3cret",
                "--tls-auth-clients",
                "no",
            ])
            .args(["--bind", "127.0.0.1", "--tls-port", &port.to_string()])
            .args(["--tls-cert-file", &format!("{CERTIFICATES}/localhost.pem")])
            .args(["--tls-key-file", &format!("{CERTIFICATES}/localhost.key")])
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server: {error}; ./test setup installs it"));
        let redis = Redis { process, port };
        let end = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        _ = self.process.kill(); // it may have ended
        _ = self.process.wait();
    }
}

/// Serves with values in the Redis whose URL is in a file.
fn serve_with_redis(store: &Path, url: &Path, arguments: &[&std::ffi::OsStr]) -> Server {
    let mut command = faascli(&["serve", "--listen", "127.0.0.1:0", "--store"]);
    command.arg(store).arg("--redis-url-file").arg(url).args(arguments);
    command.env("SSL_CERT_FILE", format!("{CERTIFICATES}/ca.pem"));
    Server::spawn(command)
}

#[test]
fn servers_share_the_values_of_a_redis() {
    let folder = scratch();
    let redis = Redis::start(folder.path());
    let url =
        write(folder.path(), "redis-url", format!("rediss://:s3cret@localhost:{}/\n", redis.port));
    let granted = "[stores]\ndefault = {}\n[config]\ngreeting = 'hello'\n";
    let program = keyvalue(folder.path(), granted);
    let counter = counters(folder.path(), &[("mine", "[stores]\ndefault = {}")]);
    let arguments = [program.as_os_str(), counter[0].as_os_str()];
    let one = serve_with_redis(&folder.path().join("one"), &url, &arguments);
    let other = serve_with_redis(&folder.path().join("other"), &url, &arguments);
    let answer = one.post("/keyvalue", b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, PRINTED), "{}", one.log());
    let count = |server: &Server| server.post("/mine/a", b"").text();
    assert_eq!([&one, &other, &one].map(count), ["1\n", "2\n", "3\n"]);
    drop(redis);
    assert_ne!(one.post("/mine/a", b"").status, 200);
    let reason = "an operation on a store failed";
    wait_until("the reason is in the log", || one.log().contains(reason));
    assert!(!one.log().contains("s3cret"), "{}", one.log());
}

#[test]
fn what_is_no_url_of_a_redis_is_refused() {
    let folder = scratch();
    for (text, expected) in
        [("http://u:s3cret@host/", "not the URL of a Redis"), (" \n", "holds no URL")]
    {
        let url = write(folder.path(), "redis-url", text);
        let store = folder.path().join("store");
        let args = [
            "serve".as_ref(),
            "--store".as_ref(),
            store.as_os_str(),
            "--redis-url-file".as_ref(),
            url.as_os_str(),
        ];
        let ended = run(&args).expect(2, &[expected]);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }
}
