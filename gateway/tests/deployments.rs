//! Deployments: the management interface, and what survives what.

mod common;

use common::{ECHO, FOREVER, Server, artifact, config, head, says};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use wfaas_function::{Span, Spec};
use wfaas_gateway::{Client, ClientError, FunctionStatus, Gateway, GatewayError, StoreError};

fn blobs(store: &Path) -> usize {
    std::fs::read_dir(store.join("blobs")).unwrap().count()
}

#[test]
fn a_function_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    assert_eq!(server.request("GET", "/v1/functions", b"").text(), r#"{"functions":[]}"#);

    let response = server.deploy("hello", &says("hello"));
    assert_eq!(response.status, 201, "{}", response.text());
    let info = response.json();
    assert_eq!(
        (&info["name"], &info["route"], &info["abi"]),
        (&"hello".into(), &"/hello".into(), &"reactor".into())
    );
    assert_eq!(info["stored"], true);
    assert_eq!(server.request("GET", "/hello", b"").text(), "hello");
    assert_eq!(server.request("GET", "/v1/functions/hello", b"").json(), info);
    let list = server.request("GET", "/v1/functions", b"").json();
    assert_eq!(list["functions"], serde_json::Value::from(vec![info]));
    assert_eq!(server.request("GET", "/v1/health", b"").json()["functions"], 1);

    assert_eq!(server.deploy("hello", &says("hello again")).status, 200);
    assert_eq!(server.request("GET", "/hello", b"").text(), "hello again");
    assert_eq!(blobs(dir.path()), 1, "the old artifact is gone");

    assert_eq!(server.request("DELETE", "/v1/functions/hello", b"").status, 204);
    assert_eq!(server.request("GET", "/hello", b"").status, 404);
    assert_eq!(server.request("DELETE", "/v1/functions/hello", b"").status, 404);
    assert_eq!(server.request("GET", "/v1/functions/hello", b"").status, 404);
    assert_eq!(blobs(dir.path()), 0);
}

#[test]
fn functions_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    assert_eq!(server.deploy("a", &says("one")).status, 201);
    let json = r#"{"route": "/x/y", "env": {"SECRET": "s3cret"}, "limits": {"time_ms": 5000}}"#;
    let path = "/v1/functions/b";
    let response = server.send("PUT", path, &[("x-wfaas-config", json)], &artifact(&says("two")));
    assert_eq!(response.status, 201, "{}", response.text());
    let before = server.request("GET", "/v1/functions", b"").json();
    server.stop();

    let server = Server::on(dir.path());
    assert_eq!(server.request("GET", "/a", b"").text(), "one");
    assert_eq!(server.request("GET", "/x/y/z", b"").text(), "two");
    let after = server.request("GET", "/v1/functions", b"");
    assert_eq!(after.json(), before);
    assert_eq!(after.json()["functions"][1]["time_limit_ms"], 5000);
    assert!(after.text().contains("SECRET") && !after.text().contains("s3cret"));
}

#[test]
fn bad_deployments_are_refused_and_the_old_function_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.max_artifact = 1 << 20;
    let server = Server::start(Gateway::bind(config).unwrap());
    assert_eq!(server.deploy("f", &says("old")).status, 201);
    let good = artifact(&says("new"));
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let put = |headers: &[(&str, &str)], body: &[u8]| {
        server.send("PUT", "/v1/functions/f", headers, body)
    };
    for (body, status, words) in [
        (vec![], 422, "artifact"),
        (b"\0asm\x01\0\0\0".to_vec(), 422, "not a wfaas artifact"),
        (good[..good.len() - 1].to_vec(), 422, "truncated"),
        (flipped(600), 422, "corrupted"),
        (flipped(4100), 422, "hash"),
        (flipped(good.len() - 1), 422, "hash"),
        (artifact("(module)"), 422, "neither `_start`"),
        (artifact(r#"(module (import "a" "b" (func)) (func (export "_start")))"#), 422, "\"b\""),
        (vec![0; (1 << 20) + 1], 413, "larger"),
    ] {
        let response = put(&[], &body);
        assert_eq!(response.status, status, "{}", response.text());
        let error = response.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(words), "{words}: {error}");
    }
    for (json, words) in [
        ("{", "EOF"),
        (r#"{"rout": "/x"}"#, "rout"),
        (r#"{"route": "x"}"#, "has to start with"),
        (r#"{"route": "/v1/functions"}"#, "management"),
        (r#"{"abi": "fastcgi"}"#, "fastcgi"),
        (r#"{"limits": {"time_ms": 0}}"#, "time_ms"),
        (r#"{"limits": {"memory_bytes": 0}}"#, "limits.memory"),
        (r#"{"limits": {"output": "1 parsec"}}"#, "limits.output"),
        (r#"{"limits": {"time": "1s", "tim": 1}}"#, "limits.tim"),
        (r#"{"args": ["a\u0000b"]}"#, "args"),
        (r#"{"args": "a"}"#, "args"),
        (r#"{"env": {"": "x"}}"#, "env"),
        (r#"{"env": {"A=B": "x"}}"#, "env"),
        (r#"{"env": {"A": "\u0000"}}"#, "env"),
        (r#"{"env": {"A": 1}}"#, "env.A"),
        (r#"{"content_type": "a\nb"}"#, "content_type"),
        (r#"{"name": "g"}"#, "name"),
    ] {
        let response = put(&[("x-wfaas-config", json)], &good);
        assert_eq!(response.status, 400, "{json}: {}", response.text());
        assert!(response.json()["error"].as_str().unwrap().contains(words), "{json}");
    }
    let twice = [("x-wfaas-config", "{}"), ("x-wfaas-config", r#"{"route": "/x"}"#)];
    assert_eq!(put(&twice, &good).status, 400);
    let response = put(&[("x-wfaas-config", r#"{"limits": {"memory_bytes": 1000}}"#)], &good);
    assert_eq!(response.status, 422, "{}", response.text());
    for name in ["..", "%2e%2e", "a%2fb", "A", "", "a/b", &"x".repeat(64)] {
        let response = server.request("PUT", &format!("/v1/functions/{name}"), &good);
        assert!(matches!(response.status, 400 | 404), "{name}: {}", response.status);
    }
    assert_eq!(server.request("POST", "/v1/functions/f", &good).status, 405);
    assert_eq!(server.request("PUT", "/v1/functions", &good).status, 405);
    assert_eq!(server.request("GET", "/f", b"").text(), "old");
    assert_eq!(blobs(dir.path()), 1);
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn routes_have_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    assert_eq!(server.deploy("a", &says("a")).status, 201);
    let to = |name: &str, route: &str| {
        let json = format!(r#"{{"route": "{route}"}}"#);
        let path = format!("/v1/functions/{name}");
        server.send("PUT", &path, &[("x-wfaas-config", &json)], &artifact(&says(name)))
    };
    let response = to("b", "/a");
    assert_eq!(response.status, 409);
    assert!(response.text().contains("function a"), "{}", response.text());
    // A function moves, and leaves its route to others.
    assert_eq!(to("a", "/elsewhere").status, 200);
    assert_eq!(server.request("GET", "/a", b"").status, 404);
    assert_eq!(to("b", "/a").status, 201);
    assert_eq!(server.request("GET", "/a", b"").text(), "b");
    assert_eq!(server.request("GET", "/elsewhere", b"").text(), "a");
}

#[test]
fn management_is_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = config(dir.path());
    open.listen = "0.0.0.0:0".parse().unwrap();
    let server = Server::start(Gateway::bind(open.clone()).unwrap());
    let response = server.deploy("f", ECHO);
    assert_eq!(response.status, 403);
    assert!(response.text().contains("token"), "{}", response.text());
    assert_eq!(server.request("GET", "/v1/functions", b"").status, 403);
    assert_eq!(server.request("GET", "/v1/health", b"").status, 200);
    server.stop();

    open.token = Some("secret".into());
    let server = Server::start(Gateway::bind(open.clone()).unwrap());
    let put = |headers: &[(&str, &str)]| {
        server.send("PUT", "/v1/functions/f", headers, &artifact(ECHO)).status
    };
    assert_eq!(put(&[]), 401);
    assert_eq!(put(&[("authorization", "Bearer wrong")]), 401);
    let origin = [("authorization", "Bearer secret"), ("origin", "http://evil.example")];
    assert_eq!(put(&origin), 403);
    assert_eq!(put(&[("authorization", "Bearer secret")]), 201);
    assert_eq!(server.request("POST", "/f", b"x").text(), "x", "functions need no token");
    drop(server);

    let server = Server::on(dir.path());
    let list = |headers: &[(&str, &str)]| server.send("GET", "/v1/functions", headers, b"").status;
    assert_eq!(list(&[]), 200);
    assert_eq!(list(&[("host", "rebound.example:80")]), 403);
    assert_eq!(list(&[("origin", "http://localhost")]), 403);
    drop(server);

    for token in ["", "a b", "ä"] {
        open.token = Some(token.into());
        assert!(matches!(Gateway::bind(open.clone()), Err(GatewayError::Tenant(_))), "{token:?}");
    }
}

#[test]
fn one_store_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::on(dir.path());
    let error = Gateway::bind(config(dir.path())).err().unwrap();
    assert!(matches!(error, GatewayError::Store(StoreError::InUse(_))), "{error}");
}

#[test]
fn installed_functions_are_gone_after_a_restart_and_hide_stored_ones() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    assert_eq!(server.deploy("f", &says("stored")).status, 201);
    server.stop();
    let gateway = Gateway::bind(config(dir.path())).unwrap();
    let install = |name: &str, config, wat: &str| {
        gateway.install(name.parse().unwrap(), config, &artifact(wat))
    };
    let info = install("f", Spec::default(), &says("installed")).unwrap();
    assert!(!info.stored);
    let route = Spec { route: Some("/f".parse().unwrap()), ..Spec::default() };
    assert!(install("g", route, ECHO).is_err());
    assert_eq!(gateway.functions().len(), 1);
    let server = Server::start(gateway);
    assert_eq!(server.request("GET", "/f", b"").text(), "installed");
    server.stop();
    assert_eq!(Server::on(dir.path()).request("GET", "/f", b"").text(), "stored");
}

#[test]
fn no_request_fails_while_its_function_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    assert_eq!(server.deploy("f", &says("0")).status, 201);
    let (stop, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let response = server.request("POST", "/f", b"");
                    assert_eq!(response.status, 200, "{}", response.text());
                    let version: u32 = response.text().parse().unwrap();
                    assert!(version >= last, "{version} after {last}");
                    last = version;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for version in 1..=25 {
            assert_eq!(server.deploy("f", &says(&version.to_string())).status, 200);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answered.load(Ordering::Relaxed) > 0);
    assert_eq!(server.request("GET", "/f", b"").text(), "25");
    assert_eq!(blobs(dir.path()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_manages() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.token = Some("secret".into());
    let server = Server::start(Gateway::bind(config).unwrap());
    let url = format!("http://{}", server.address);
    let client = Client::new(&url, Some("secret".into())).unwrap();
    let name = "hello".parse().unwrap();
    let mut config = Spec { route: Some("/hi".parse().unwrap()), ..Spec::default() };
    config.env.insert("NAME".into(), "Zoë \n \"quoted\"".into());
    let info = client.deploy(&name, artifact(&says("hi")), &config).await.unwrap();
    assert_eq!(info.route.as_str(), "/hi");
    let ready = FunctionStatus::Ready(info);
    assert_eq!(client.list().await.unwrap(), std::slice::from_ref(&ready));
    assert_eq!(client.get(&name).await.unwrap(), ready);
    client.delete(&name).await.unwrap();
    let error = client.delete(&name).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
    let error = client.deploy(&name, vec![0; 3 << 20], &config).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 422, .. }), "{error}");
    let stranger = Client::new(&url, None).unwrap();
    let error = stranger.deploy(&name, vec![0; 3 << 20], &config).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 401, .. }), "{error}");
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    let error = client.list().await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
}

#[test]
fn a_busy_function_does_not_hold_up_management() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.defaults.limits.time = Some(Span(Duration::from_secs(6)));
    let server = Server::start(Gateway::bind(config).unwrap());
    assert_eq!(server.deploy("forever", FOREVER).status, 201);
    std::thread::scope(|scope| {
        let busy: Vec<_> =
            (0..4).map(|_| scope.spawn(|| server.request("GET", "/forever", b"").status)).collect();
        std::thread::sleep(Duration::from_millis(200));
        let began = std::time::Instant::now();
        assert_eq!(server.deploy("f", &says("f")).status, 201);
        assert_eq!(server.request("GET", "/v1/functions", b"").status, 200);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        for request in busy {
            assert_eq!(request.join().unwrap(), 504);
        }
    });
}

#[test]
fn artifacts_that_are_being_received_have_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.max_artifact = 1 << 20;
    let server = Server::start(Gateway::bind(config).unwrap());
    // Four uploads that lack their last byte.
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(server.address).unwrap();
            stream.write_all(head("PUT", "/v1/functions/f", &[], 1 << 20).as_bytes()).unwrap();
            stream.write_all(&[0; (1 << 20) - 1]).unwrap();
            stream
        })
        .collect();
    let received = || {
        let files = std::fs::read_dir(dir.path().join("tmp")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let eventually = |bytes: u64| {
        let is_so = (0..400).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            received() == bytes
        });
        assert!(is_so, "{} bytes are received", received());
    };
    eventually((4 << 20) - 4);
    let refused = server.deploy("f", &says("f"));
    assert_eq!(refused.status, 503, "{}", refused.text());
    drop(waiting);
    eventually(0);
    assert_eq!(server.deploy("f", &says("f")).status, 201);
}
