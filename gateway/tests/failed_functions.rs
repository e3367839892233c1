//! Stored functions that cannot be loaded: listed with the reason, answered with 503, tried again.
//! And the server's own faults, which are never blamed on a module.

mod common;

use common::{Server, artifact, config, says, time_limit};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wfaas_gateway::Gateway;

/// The artifact of a stored function.
fn blob(store: &Path, server: &Server, name: &str) -> PathBuf {
    let info = server.request("GET", &format!("/v1/functions/{name}"), b"").json();
    store.join(format!("blobs/{}.faas", info["artifact"].as_str().unwrap()))
}

/// Status, functions that can be reached, and functions that could not be loaded.
fn health(server: &Server) -> (String, u64, u64) {
    let response = server.request("GET", "/v1/health", b"");
    assert_eq!(response.status, 200);
    let health = response.json();
    let number = |name: &str| health[name].as_u64().unwrap();
    (health["status"].as_str().unwrap().to_owned(), number("functions"), number("failed"))
}

/// Asks until the answer has this status.
fn eventually(server: &Server, path: &str, status: u16) -> common::Response {
    let began = Instant::now();
    loop {
        let response = server.request("GET", path, b"");
        if response.status == status || began.elapsed() > Duration::from_secs(20) {
            assert_eq!(response.status, status, "{}", response.text());
            return response;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_function_that_cannot_be_loaded_is_listed_with_the_reason_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    for name in ["a", "b", "c"] {
        assert_eq!(server.deploy(name, &says(name)).status, 201);
    }
    assert_eq!(health(&server), ("ok".to_owned(), 3, 0));
    let (blob, entry) = (blob(dir.path(), &server, "a"), dir.path().join("functions/b.json"));
    server.stop();
    let (bytes, json) = (std::fs::read(&blob).unwrap(), std::fs::read(&entry).unwrap());
    std::fs::write(&blob, &bytes[..5000]).unwrap();
    std::fs::write(&entry, b"{").unwrap();

    let server = Server::on(dir.path());
    assert_eq!(health(&server), ("degraded".to_owned(), 1, 2));
    let list = server.request("GET", "/v1/functions", b"").json();
    let states: Vec<_> = list["functions"].as_array().unwrap().iter().collect();
    for (index, name, state, reason) in
        [(0, "a", "failed", "truncated"), (1, "b", "failed", "b.json"), (2, "c", "ready", "")]
    {
        let listed = states[index];
        assert_eq!((&listed["name"], &listed["state"]), (&name.into(), &state.into()));
        let words = listed["reason"].as_str().unwrap_or_default();
        assert!(words.contains(reason), "{words}");
        let path = format!("/v1/functions/{name}");
        assert_eq!(server.request("GET", &path, b"").json(), *listed);
    }
    for path in ["/a", "/a/below", "/b"] {
        let response = server.request("POST", path, b"x");
        assert_eq!(response.status, 503);
        assert!(response.text().contains("could not be loaded"), "{}", response.text());
        assert!(response.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        assert!(!response.text().contains("truncated"), "reasons are for who manages");
    }
    assert_eq!(server.request("GET", "/c", b"").text(), "c");

    // Repaired under the server's feet: requests find out.
    std::fs::write(&blob, bytes).unwrap();
    std::fs::write(&entry, json).unwrap();
    assert_eq!(eventually(&server, "/a", 200).text(), "a");
    assert_eq!(eventually(&server, "/b", 200).text(), "b");
    assert_eq!(health(&server), ("ok".to_owned(), 3, 0));
    server.stop();
    assert_eq!(health(&Server::on(dir.path())), ("ok".to_owned(), 3, 0));
}

#[test]
fn a_function_that_cannot_be_loaded_keeps_its_route_and_can_be_replaced_or_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    let to = |server: &Server, name: &str, route: &str| {
        let json = format!(r#"{{"route": "{route}"}}"#);
        let path = format!("/v1/functions/{name}");
        let headers = [("x-wfaas-config", &*json)];
        server.send("PUT", &path, &headers, &artifact(&says(name))).status
    };
    assert_eq!((to(&server, "a", "/one"), to(&server, "b", "/two")), (201, 201));
    let blobs = [blob(dir.path(), &server, "a"), blob(dir.path(), &server, "b")];
    server.stop();
    blobs.iter().for_each(|blob| std::fs::write(blob, b"nothing").unwrap());

    let server = Server::on(dir.path());
    assert_eq!(to(&server, "c", "/one"), 409);
    assert_eq!(to(&server, "a", "/one"), 200);
    assert_eq!(server.request("GET", "/one", b"").text(), "a");
    assert_eq!(server.request("GET", "/two", b"").status, 503);
    assert_eq!(server.request("DELETE", "/v1/functions/b", b"").status, 204);
    assert_eq!(server.request("GET", "/two", b"").status, 404);
    assert_eq!(to(&server, "c", "/two"), 201);
    assert_eq!(health(&server), ("ok".to_owned(), 2, 0));
}

/// A command with an image of so many MiB.
fn large(mebibytes: usize) -> String {
    let data = format!("{mebibytes}").repeat(mebibytes << 20);
    let pages = mebibytes * 32 + 1;
    format!(
        r#"(module (memory (export "memory") {pages}) (data (i32.const 0) "{data}")
          (func (export "_start")))"#
    )
}

#[test]
fn images_without_room_are_the_servers_fault() {
    let dir = tempfile::tempdir().unwrap();
    let with = |mebibytes: u64| {
        let mut config = config(dir.path());
        config.engine.max_image_bytes = Some(mebibytes << 20);
        Server::start(Gateway::bind(config).unwrap())
    };
    let server = with(4);
    assert_eq!(server.deploy("two", &large(2)).status, 201);
    let refused = server.deploy("three", &large(3));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("no room"), "{}", refused.text());
    let shown = server.request("GET", "/v1/health", b"").json();
    assert_eq!(shown["max_image_bytes"], 4 << 20);
    assert!(shown["image_bytes"].as_u64().unwrap() >= 2 << 20, "{shown}");
    server.stop();

    // The same after a restart: with less room it is listed, and loaded when there is some.
    let server = with(8);
    assert_eq!(server.deploy("three", &large(3)).status, 201);
    server.stop();
    let server = with(4);
    assert_eq!(health(&server), ("degraded".to_owned(), 1, 1));
    assert_eq!(server.request("GET", "/two", b"").status, 503);
    assert_eq!(server.request("DELETE", "/v1/functions/three", b"").status, 204);
    eventually(&server, "/two", 200);
    assert_eq!(health(&server), ("ok".to_owned(), 1, 0));
}

#[test]
fn faaslets_without_room_are_the_servers_fault() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.engine.max_slots = 1;
    let gateway = Gateway::bind(config).unwrap();
    let limit = time_limit(1500);
    gateway.install("sleep".parse().unwrap(), limit, &artifact(common::SLEEP)).unwrap();
    let server = Server::start(gateway);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| server.request("GET", "/sleep", b"").status);
        std::thread::sleep(Duration::from_millis(200));
        let response = server.request("GET", "/sleep", b"");
        assert_eq!(response.status, 503, "{}", response.text());
        assert!(response.text().contains("no room") && response.header("retry-after").is_some());
        let deployed = server.deploy("f", &says("f"));
        assert_eq!(deployed.status, 503, "{}", deployed.text());
        assert_eq!(busy.join().unwrap(), 200);
    });
    // The module's own size is its own fault.
    let limit = r#"{"limits": {"memory_bytes": 65536}}"#;
    let headers = [("x-wfaas-config", limit)];
    let large = artifact(&large(1));
    assert_eq!(server.send("PUT", "/v1/functions/f", &headers, &large).status, 422);
}
