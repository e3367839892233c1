use super::*;
use std::time::Duration;

fn json(text: &str) -> Spec {
    Spec::from_json(text).unwrap()
}

#[test]
fn every_field_of_a_layer_is_above_the_one_below() {
    let below = json(
        r#"{"name": "a", "route": "/a", "abi": "wasi", "args": ["1"], "env": {"A": "1", "B": "1"},
            "dirs": [{"host": "/a", "guest": "/a"}], "content_type": "text/css", "tenant": "a", "on_disconnect": "cancel", "session": {"cookie": "a"},
            "limits": {"memory": 1, "time": 1, "cpu": 1, "output": 1, "log": 1, "tmp": 1}}"#,
    );
    let above = json(
        r#"{"name": "b", "route": "/b", "abi": "reactor", "args": ["2", "3"], "env": {"B": "2"},
            "dirs": [{"host": "/b", "guest": ".", "read_only": true}], "content_type": "text/html", "tenant": "b", "on_disconnect": "finish", "session": {"header": "b", "max": 2},
            "limits": {"memory": 2, "time": 2, "cpu": 2, "output": 2, "log": 2, "tmp": 2}}"#,
    );
    let mut expected = above.clone();
    expected.env.insert("A".to_owned(), "1".to_owned());
    assert_eq!(above.over(below.clone()), expected);
    assert_eq!(Spec::default().over(below.clone()), below);
    let limits = Limits { time: Some(Span(Duration::from_secs(3))), ..Limits::default() };
    let merged = limits.over(Limits::of_server());
    assert_eq!(merged.time, Some(Span(Duration::from_secs(3))));
    assert_eq!(merged.memory, Limits::of_server().memory);
}

#[test]
fn numbers_are_exact_and_strings_are_for_people() {
    let exact = r#"{"limits": {"memory_bytes": 67108864, "time_ms": 1500, "cpu_ms": 20,
        "output_bytes": 1024}}"#;
    let people =
        r#"{"limits": {"memory": "64MiB", "time": "1500ms", "cpu": "20ms", "output": "1KiB"}}"#;
    assert_eq!(json(exact), json(people));
    let written = json(people).to_json();
    assert_eq!(json(&written), json(people));
    assert!(written.contains(r#""time_ms":1500"#), "{written}");
    assert!(written.contains(r#""cpu_ms":20"#), "{written}");
    let toml = "limits = { time = 1.5, cpu = 0.02, memory = '64MiB', output = 1024 }";
    let toml: Spec = toml::from_str(toml).unwrap();
    assert_eq!(toml, json(people));
}

#[test]
fn mistakes_name_the_field() {
    let cases: &[(&str, &[&str])] = &[
        (r#"{"limit": {}}"#, &["`limit`", "`limits`"]),
        (r#"{"limits": {"cores": 1}}"#, &["limits.cores", "`memory`"]),
        (r#"{"limits": {"cpu": "fast"}}"#, &["limits.cpu: ", "fast"]),
        (r#"{"limits": {"cpu": 1, "cpu": 2}}"#, &["duplicate", "`cpu`"]),
        (r#"{"limits": 3}"#, &["limits: ", "a table of limits"]),
        (r#"{"limits": {"memory": "6 apples"}}"#, &["limits.memory: ", "6 apples"]),
        (r#"{"limits": {"time_ms": -1}}"#, &["limits.time_ms: "]),
        (r#"{"env": {"A": 1}}"#, &["env.A: ", "expected a string"]),
        (r#"{"env": []}"#, &["env: ", "a table of strings"]),
        (r#"{"env": {"A": "1", "B": "2", "A": "1"}}"#, &["env: \"A\" is there twice"]),
        (r#"{"env": {"": "1"}}"#, &["env: \"\" ", "empty"]),
        (r#"{"env": {"A=B": "1"}}"#, &["env: \"A=B\" ", "`=`"]),
        (r#"{"env": {"A\u0000": "1"}}"#, &["env: ", "\"A\\0\"", "NUL"]),
        (r#"{"env": {"A": "\u0000"}}"#, &["env: ", "\"A\"", "NUL"]),
        (r#"{"args": "one"}"#, &["args: ", "sequence"]),
        (r#"{"args": [1]}"#, &["args: ", "expected a string"]),
        (r#"{"tenant": "A"}"#, &["tenant: ", "\"A\""]),
        (r#"{"on_disconnect": "stop"}"#, &["on_disconnect: ", "stop", "`finish`"]),
        (r#"{"abi": "fastcgi"}"#, &["abi: ", "fastcgi", "`reactor`"]),
        (r#"{"name": "No Name"}"#, &["name: ", "No Name"]),
        (r#"{"route": "a"}"#, &["route: ", "`/`"]),
        (r#"{"route": "/a", "route": "/b"}"#, &["duplicate", "`route`"]),
        ("[1", &["line 1"]),
        ("3", &["a function's specification"]),
    ];
    for (text, parts) in cases {
        let message = Spec::from_json(text).expect_err(text).to_string();
        for part in *parts {
            assert!(message.contains(part), "{text}: {message}, without {part:?}");
        }
        assert!(message.matches("at line").count() <= 1, "{message}");
    }
    let none = Limits::default();
    for (name, limits) in [
        ("memory", Limits { memory: Some(ByteSize(0)), ..none.clone() }),
        ("output", Limits { output: Some(ByteSize(0)), ..none.clone() }),
        ("time", Limits { time: Some(Span(Duration::ZERO)), ..none.clone() }),
        ("cpu", Limits { cpu: Some(Span(Duration::ZERO)), ..none.clone() }),
    ] {
        let zero = limits.check().unwrap_err();
        assert_eq!(zero.to_string(), format!("limits.{name}: has to be greater than 0"));
    }
}

#[test]
fn mistakes_in_toml_point_to_their_line() {
    let cases: &[(&str, &[&str])] = &[
        ("abi = 'wasi'\n[limits]\nmemory = true", &["line 3", "limits.memory", "64MiB"]),
        ("abi = 'wasi'\n[limits]\ncores = 1", &["line 3", "limits.cores"]),
        ("args = []\n\n[env]\nA = 1", &["line 4", "env.A"]),
        ("args = []\n[env]\nB = ''\n'A=B' = '1'", &["line 4", "A=B", "`=`"]),
        ("args = []\n[env]\n'' = '1'", &["line 3", "empty"]),
        ("[env]\nA = '1'\nA = '2'", &["line 3", "duplicate key"]),
        ("[env]\nA = \"1\\u0000\"", &["line 2", "NUL"]),
        ("args = []\nrout = '/'", &["line 2", "`rout`"]),
    ];
    for (text, parts) in cases {
        let message = toml::from_str::<Spec>(text).expect_err(text).to_string();
        for part in *parts {
            assert!(message.contains(part), "{text}: {message}, without {part:?}");
        }
    }
}

#[test]
fn sessions_have_one_carrier_and_bounds() {
    let session = |text: &str| Spec::from_json(&format!("{{\"session\": {text}}}"));
    let spec =
        session(r#"{"header": "X-Game", "max": 7, "bytes": "64KiB", "idle": "90s"}"#).unwrap();
    let expected = Session {
        carrier: Carrier::Header("x-game".to_owned()),
        max: 7,
        bytes: ByteSize(65_536),
        idle: Span(Duration::from_secs(90)),
    };
    assert_eq!(spec.session, Some(expected));
    assert_eq!(json(&spec.to_json()), spec);
    for (text, reason) in [
        ("{}", "either a `cookie` or a `header`"),
        (r#"{"cookie": "a", "header": "b"}"#, "either a `cookie` or a `header`"),
        (r#"{"cookie": "a b"}"#, "session.cookie"),
        (r#"{"header": ""}"#, "session.header"),
        (r#"{"header": "Transfer-Encoding"}"#, "session.header: transfer-encoding"),
        (r#"{"header": "content-length"}"#, "session.header: content-length"),
        (r#"{"header": "set-cookie"}"#, "session.header: set-cookie"),
        (r#"{"cookie": "a", "max": 0}"#, "session.max"),
        (r#"{"cookie": "a", "bytes": "1GiB"}"#, "session.bytes"),
        (r#"{"cookie": "a", "idle": "90000s"}"#, "at most 86400 seconds"),
        (r#"{"cookie": "a", "secure": true}"#, "secure"),
    ] {
        let error = session(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
