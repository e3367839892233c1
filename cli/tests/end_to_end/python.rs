//! CPython, captured where it waits for a request.

use super::support::{Server, copy_example, scratch};
use std::collections::BTreeSet;
use std::process::Command;

#[test]
#[ignore = "fetches CPython from npm, and compiles it twice: a minute of processor time"]
fn an_interpreter_goes_on_where_it_waits() {
    let folder = scratch();
    let source = copy_example("python", folder.path());
    // It takes longer than other commands may.
    let faascli = Command::new(env!("CARGO_BIN_EXE_faascli")).arg("build").arg(&source).status();
    assert!(faascli.is_ok_and(|status| status.success()), "it is built");
    let server = Server::start(&folder.path().join("store"), &[source]);
    for name in ["Ada", "Grace"] {
        let body = format!("{{\"name\": \"{name}\"}}");
        let answer = server.request("POST", "/python/small", &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.text(), format!("{{\"hello\": \"{name}\"}}"));
    }
    // `printf 'one two two 2026-11-27' | sha256sum`; a Friday.
    let answer = server.request("POST", "/python/five", &[], b"one two two 2026-11-27");
    let found: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(found["words"], serde_json::json!([["two", 2], ["one", 1]]));
    assert_eq!(found["weekday"], 5);
    let digest = "164884669e38d1997018d13bad0b1253081de9aa934fe8250cccb95c7e618c4b";
    assert_eq!(found["sha256"], digest);
    assert_eq!(server.request("POST", "/python/small", &[], b"none").status, 400);
    assert_eq!(server.request("GET", "/python/nothing", &[], b"").status, 404);
    let mut numbers = BTreeSet::new();
    for _ in 0..5 {
        let answer = server.request("GET", "/python/chance", &[], b"");
        let found: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(found["visits"], 1, "a request sees what another one has set");
        let fresh = found["numbers"].as_array().unwrap().iter();
        numbers.extend(fresh.map(|number| number.to_string()));
    }
    assert_eq!(numbers.len(), 15, "random numbers repeat: {numbers:?}");
    assert_eq!(server.stop(), Some(0));
}
