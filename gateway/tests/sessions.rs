//! Sessions: a request goes on from the state after the one before, within bounds, and nobody gets another's.

mod common;

use common::{ECHO, Response, Server, serve};
use std::time::{Duration, Instant};
use wfaas_function::Spec;

/// Counts its calls. By the first byte of the body: `w` writes so many pages, `t` traps after
/// counting, `l` takes a while, `b` answers a million bytes, anything else only counts. Answers the count, a digit.
const COUNTER: &str = r#"(module (memory (export "memory") 20) (global $calls (mut i32) (i32.const 0))
    (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "faas_handle") (param $at i32) (param $len i32) (result i64) (local $i i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 119)) (then
            (memory.fill (i32.const 65536) (global.get $calls) (i32.const 1000000))))
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then unreachable))
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 108)) (then
            (local.set $i (i32.const 800000000))
            (loop $l (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $l (local.get $i)))))
        (i32.store8 (i32.const 8) (i32.add (global.get $calls) (i32.const 48)))
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 98)) (then
            (return (i64.const 0x00000008000f4240))))
        (i64.const 0x0000000800000001)))"#;

fn session(json: &str) -> Spec {
    Spec::from_json(&format!("{{\"session\": {json}}}")).unwrap()
}

/// A request of a session by the header `x-game`.
fn ask(server: &Server, path: &str, id: Option<&str>, body: &str) -> Response {
    let headers: Vec<(&str, &str)> = id.map(|id| ("x-game", id)).into_iter().collect();
    server.send("POST", path, &headers, body.as_bytes())
}

fn id(response: &Response) -> String {
    let id = response.header("x-game").expect("an id").to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    id
}

#[test]
fn a_session_goes_on_and_others_do_not_see_it() {
    let spec = || session(r#"{"header": "x-game"}"#);
    let functions = [("one", spec(), COUNTER), ("two", spec(), COUNTER)];
    let (server, _dir) = serve(|_| (), &functions);
    let first = ask(&server, "/one", None, "c");
    assert_eq!((first.status, first.text()), (200, "1"));
    let mine = id(&first);
    for count in ["2", "3", "4"] {
        let next = ask(&server, "/one", Some(&mine), "c");
        assert_eq!((next.text(), id(&next)), (count, mine.clone()));
    }
    let other = ask(&server, "/one", None, "c");
    assert_eq!(other.text(), "1", "a request without a session begins anew");
    assert_ne!(id(&other), mine);
    assert_eq!(ask(&server, "/one", Some(&mine), "c").text(), "5");
    let elsewhere = ask(&server, "/two", Some(&mine), "c");
    assert_eq!(elsewhere.text(), "1", "the id is another function's");
    assert_ne!(id(&elsewhere), mine);
    for wrong in ["", "0", &mine.to_uppercase(), &"0".repeat(32)] {
        assert_eq!(ask(&server, "/one", Some(wrong), "c").text(), "1", "{wrong:?}");
    }
}

#[test]
fn a_cookie_carries_a_session() {
    let (server, _dir) = serve(|_| (), &[("game", session(r#"{"cookie": "sid"}"#), COUNTER)]);
    let first = server.request("POST", "/game", b"c");
    let cookie = first.header("set-cookie").expect("a cookie").to_owned();
    let (pair, rest) = cookie.split_once(';').unwrap();
    assert_eq!(rest, " Path=/game; Max-Age=600; HttpOnly; SameSite=Lax");
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let all = format!("theme=dark; {pair}");
    let next = server.send("POST", "/game", &[("cookie", &all)], b"c");
    assert_eq!((first.text(), next.text()), ("1", "2"));
}

#[test]
fn a_request_that_fails_leaves_the_state_as_it_was() {
    let spec = session(r#"{"header": "x-game", "bytes": "100KiB"}"#);
    let (server, _dir) = serve(|_| (), &[("game", spec, COUNTER)]);
    let mine = id(&ask(&server, "/game", None, "c"));
    assert_eq!(ask(&server, "/game", Some(&mine), "t").status, 500);
    assert_eq!(ask(&server, "/game", Some(&mine), "c").text(), "2");
    let large = ask(&server, "/game", Some(&mine), "w");
    assert_eq!(large.status, 507);
    assert!(large.text().contains("the state of the session takes more"), "{}", large.text());
    assert_eq!(ask(&server, "/game", Some(&mine), "c").text(), "3");
    assert_eq!(ask(&server, "/game", None, "t").status, 500, "a session that never began");
}

/// A client that is told to ask again finds the state as it was.
#[test]
fn an_answer_without_room_leaves_the_state_as_it_was() {
    let spec = session(r#"{"header": "x-game"}"#);
    let (server, _dir) = serve(|config| config.max_buffered = 1 << 20, &[("game", spec, COUNTER)]);
    let mine = id(&ask(&server, "/game", None, "c"));
    assert_eq!(ask(&server, "/game", Some(&mine), "b").status, 503);
    let deadline = Instant::now() + Duration::from_secs(20);
    let again = loop {
        let again = ask(&server, "/game", Some(&mine), "c");
        if again.status != 503 {
            break again;
        }
        assert!(Instant::now() < deadline, "it is held off for ever");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(again.text(), "2");
}

#[test]
fn requests_of_one_session_do_not_run_at_once() {
    let spec = session(r#"{"header": "x-game"}"#);
    let (server, _dir) = serve(|config| config.threads = 2, &[("game", spec, COUNTER)]);
    let mine = id(&ask(&server, "/game", None, "c"));
    std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            loop {
                // It may come while one of the others runs.
                let answer = ask(&server, "/game", Some(&mine), "l");
                if answer.status != 409 {
                    return answer;
                }
            }
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let second = ask(&server, "/game", Some(&mine), "c");
            if second.status == 409 {
                assert!(second.text().contains("under way"), "{}", second.text());
                break;
            }
            assert!(Instant::now() < deadline, "the first request was never seen");
        }
        assert_eq!(ask(&server, "/game", None, "c").text(), "1", "another session is answered");
        assert_eq!(long.join().unwrap().status, 200);
    });
    assert_eq!(ask(&server, "/game", Some(&mine), "c").status, 200);
}

#[test]
fn sessions_end_when_there_are_too_many_or_nobody_asks() {
    let spec = session(r#"{"header": "x-game", "max": 2, "idle": "2s"}"#);
    let (server, _dir) = serve(|_| (), &[("game", spec, COUNTER)]);
    let [first, second] = [(); 2].map(|()| id(&ask(&server, "/game", None, "c")));
    assert_eq!(ask(&server, "/game", Some(&first), "c").text(), "2");
    let third = id(&ask(&server, "/game", None, "c"));
    assert_eq!(ask(&server, "/game", Some(&second), "c").text(), "1", "it was idle for longest");
    std::thread::sleep(Duration::from_millis(2200));
    let late = ask(&server, "/game", Some(&third), "c");
    assert_eq!(late.text(), "1");
    assert_ne!(id(&late), third);
}

/// Clients that keep no ids do not take the sessions of those that do.
#[test]
fn a_session_whose_id_never_came_back_ends_first() {
    let spec = session(r#"{"header": "x-game", "max": 3}"#);
    let (server, _dir) = serve(|_| (), &[("game", spec, COUNTER)]);
    let mine = id(&ask(&server, "/game", None, "c"));
    assert_eq!(ask(&server, "/game", Some(&mine), "c").text(), "2");
    for _ in 0..5 {
        assert_eq!(ask(&server, "/game", None, "c").text(), "1");
    }
    assert_eq!(ask(&server, "/game", Some(&mine), "c").text(), "3");
}

#[test]
fn all_states_together_are_bounded() {
    let spec = session(r#"{"header": "x-game", "bytes": "4MiB"}"#);
    let functions = [("game", spec, COUNTER)];
    let (server, _dir) = serve(|config| config.session_bytes = 3 << 20, &functions);
    let ids: Vec<String> = (0..4).map(|_| id(&ask(&server, "/game", None, "w"))).collect();
    let counts = |id: &String| ask(&server, "/game", Some(id), "c").text().to_owned();
    // Each takes about a megabyte: the last ones are there, the first gave way.
    assert_eq!(counts(&ids[3]), "2");
    assert_eq!(counts(&ids[0]), "1");
    let (server, _dir) = serve(|config| config.session_bytes = 1 << 19, &functions);
    let refused = ask(&server, "/game", None, "w");
    assert_eq!(refused.status, 507);
    assert!(refused.text().contains("no room"), "{}", refused.text());
}

#[test]
fn a_tenant_leaves_room_for_the_states_of_others() {
    let spec = |tenant: &str| Spec {
        tenant: Some(tenant.parse().unwrap()),
        ..session(r#"{"header": "x-game", "bytes": "4MiB"}"#)
    };
    let functions = [("one", spec("one"), COUNTER), ("two", spec("two"), COUNTER)];
    let (server, _dir) = serve(|config| config.session_bytes = 3 << 20, &functions);
    for _ in 0..3 {
        assert_eq!(ask(&server, "/one", None, "w").status, 200);
    }
    let others = id(&ask(&server, "/two", None, "w"));
    assert_eq!(ask(&server, "/two", Some(&others), "c").text(), "2");
}

/// A request is charged for what its state grows by, and sessions are not ended in vain.
#[test]
fn a_state_is_replaced_within_the_bound_of_all() {
    let spec = session(r#"{"header": "x-game", "bytes": "4MiB"}"#);
    let functions = [("game", spec, COUNTER)];
    let (server, _dir) = serve(|config| config.session_bytes = 3 << 20, &functions);
    let large = id(&ask(&server, "/game", None, "w"));
    assert_eq!(ask(&server, "/game", Some(&large), "w").text(), "2", "it is no larger than before");
    let (server, _dir) = serve(|config| config.session_bytes = 1 << 19, &functions);
    let small = id(&ask(&server, "/game", None, "c"));
    assert_eq!(ask(&server, "/game", None, "w").status, 507);
    assert_eq!(ask(&server, "/game", Some(&small), "c").text(), "2", "it was not in the way");
}

#[test]
fn guests_without_sessions_are_refused_by_name() {
    let command = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    for (wat, accepted) in [(command, false), (ECHO, true)] {
        let engine = wfaas_vm::Engine::new(wfaas_vm::Config::default()).unwrap();
        let module = wfaas_vm::Module::from_bytes(&engine, &common::artifact(wat)).unwrap();
        let spec = session(r#"{"cookie": "sid"}"#);
        let made = wfaas_function::Function::new(&engine, &module, spec);
        assert_eq!(made.is_ok(), accepted);
        if let Err(error) = made {
            assert!(error.to_string().contains("session: this WASI command has no"), "{error}");
        }
    }
}
