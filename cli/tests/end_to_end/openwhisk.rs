//! A server that is the container of an OpenWhisk action: the cases of the platform's own tests of its
//! runtimes, through HTTP; and many containers, as an executor of WebAssembly-flavored OpenWhisk has them.

use super::support::{PATIENCE, Response, Server, faascli, run, scratch};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

/// The last line of an activation.
const END: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n";

/// Does what its parameter `do` says, or else returns its parameters.
const ACTION: &str = r##"
    use std::io::Read;

    fn main() {
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input).unwrap();
        let input = input.trim_end();
        let does = |what: &str| input.contains(&format!(r#""do":"{what}""#));
        let var = |name: &str| std::env::var(name).unwrap_or("-".to_owned());
        if does("env") {
            let names = ["__OW_API_KEY", "__OW_NAMESPACE", "__OW_ACTION_NAME",
                "__OW_ACTIVATION_ID", "__OW_DEADLINE", "__OW_TRANSACTION_ID", "SETTING"];
            let fields: Vec<_> =
                names.iter().map(|name| format!(r#""{name}":"{}""#, var(name))).collect();
            println!("{{{}}}", fields.join(","));
        } else if does("winter") {
            println!("* \u{2603} *");
            println!("{{\"winter\":\"* \u{2603} *\"}}");
        } else if does("log") {
            println!("hello stdout");
            println!("{{not the result");
            eprintln!("hello stderr");
            println!("{{}}");
        } else if does("forge") {
            println!("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX");
            eprintln!("and XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX");
            println!("{{}}");
        } else if does("error") {
            println!(r#"{{"error":"no"}}"#);
        } else if does("number") {
            println!("17");
        } else if does("nothing") {
        } else if does("array") {
            println!(r#"["a","b"]"#);
        } else if does("exit") {
            println!("before the exit");
            std::process::exit(3);
        } else if does("panic") {
            println!("before the panic");
            panic!("asked for");
        } else if does("file") {
            println!("{}", std::fs::read_to_string(var("FILE")).unwrap());
        } else if does("wait") {
            std::thread::sleep(std::time::Duration::from_secs(1000));
        } else {
            println!("{input}");
        }
    }
"##;

/// The action, built by the real compiler.
fn action() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = scratch();
        let (input, output) = (folder.path().join("action.rs"), folder.path().join("action.wasm"));
        std::fs::write(&input, ACTION).unwrap();
        let made = Command::new("rustc")
            .args(["--edition=2024", "--target=wasm32-wasip1", "-O", "-o"])
            .args([&output, &input])
            .output()
            .expect("rustc starts; ./test installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::read(output).unwrap()
    })
}

fn container(options: &[&str]) -> Server {
    let mut command = faascli(&["serve", "--openwhisk", "--listen", "127.0.0.1:0"]);
    command.args(options);
    Server::spawn(command)
}

#[track_caller]
fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let Response { status, body, .. } = server.post(path, body.to_string().as_bytes());
    let body = serde_json::from_slice(&body);
    (status, body.unwrap_or_else(|error| panic!("{path} does not answer JSON: {error}")))
}

fn init_payload(code: &str, binary: bool) -> Value {
    let env = json!({ "SETTING": "of init" });
    json!({ "value": {
        "name": "test", "main": "main", "code": code, "binary": binary, "env": env,
    } })
}

/// A container with the action.
#[track_caller]
fn initialised() -> Server {
    let server = container(&[]);
    let (status, answer) = post(&server, "/init", &init_payload(&STANDARD.encode(action()), true));
    assert_eq!((status, answer), (200, json!({ "ok": true })));
    server
}

/// The action's answer to parameters.
#[track_caller]
fn activate(server: &Server, value: Value) -> (u16, Value) {
    post(server, "/run", &json!({ "value": value }))
}

/// Waits until both streams have so many ends of activations: what was written.
#[track_caller]
fn streams(server: &Server, ends: usize) -> (String, String) {
    let start = Instant::now();
    loop {
        let (stdout, stderr) = (server.output(), server.log());
        let has_ended = |text: &str| text.matches(END).count() == ends;
        if has_ended(&stdout) && has_ended(&stderr) {
            return (stdout, stderr);
        }
        assert!(start.elapsed() < PATIENCE, "{stdout}\n---\n{stderr}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn proper_json_comes_back() {
    let server = initialised();
    let values = [
        json!({}),
        json!({ "string": "hello" }),
        json!({ "numbers": [42, -1.5e300], "boolean": true, "null": null }),
        json!({ "object": { "a": "A", "deep": { "er": [[], {}] } } }),
        json!([1, "two", { "three": 3 }]),
    ];
    for value in &values {
        assert_eq!(activate(&server, value.clone()), (200, value.clone()));
    }
    assert_eq!(post(&server, "/run", &json!({})), (200, json!({})));
    streams(&server, values.len() + 1);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_action_is_initialised_once() {
    let server = initialised();
    let again = post(&server, "/init", &init_payload(&STANDARD.encode(action()), true));
    let message = "Cannot initialize the action more than once.";
    assert_eq!(again, (403, json!({ "error": message })));
    assert_eq!(activate(&server, json!({ "a": 1 })), (200, json!({ "a": 1 })));
}

#[test]
fn nothing_runs_before_it_is_initialised() {
    let server = container(&[]);
    assert_eq!(activate(&server, json!({})), (400, json!({ "error": "no action defined yet" })));
    let (status, _) = post(&server, "/nothing", &json!({}));
    assert_eq!(status, 404);
    assert_eq!(server.get("/run").status, 405);
    let code = init_payload(&STANDARD.encode(action()), true).to_string();
    let origin = [("origin", "http://a.page.example"), ("content-type", "text/plain")];
    assert_eq!(server.request("POST", "/init", &origin, code.as_bytes()).status, 403);
    assert_eq!(activate(&server, json!({})).0, 400);
}

#[test]
fn text_is_unicode() {
    let server = initialised();
    let winter = "* ☃ *";
    assert_eq!(activate(&server, json!({ "do": "winter" })), (200, json!({ "winter": winter })));
    let (stdout, _) = streams(&server, 1);
    assert!(stdout.ends_with(&format!("{winter}\n{END}")), "{stdout}");
}

#[test]
fn the_context_is_in_the_environment() {
    let server = initialised();
    let deadline = "4000000000000";
    let (status, result) = post(
        &server,
        "/run",
        &json!({
            "value": { "do": "env" },
            "api_key": "key",
            "namespace": "zzz",
            "action_name": "/zzz/test",
            "activation_id": "abc",
            "transaction_id": "tid",
            "deadline": deadline,
            "no word": "x",
        }),
    );
    assert_eq!(status, 200);
    assert_eq!(
        result,
        json!({
            "__OW_API_KEY": "key", "__OW_NAMESPACE": "zzz", "__OW_ACTION_NAME": "/zzz/test",
            "__OW_ACTIVATION_ID": "abc", "__OW_DEADLINE": deadline,
            "__OW_TRANSACTION_ID": "tid", "SETTING": "of init",
        })
    );
}

#[test]
fn an_activation_ends_at_its_deadline() {
    let server = initialised();
    let body = json!({ "value": { "do": "wait" }, "deadline": 1 });
    let (status, answer) = post(&server, "/run", &body);
    assert_eq!(status, 504, "{answer}");
    assert!(answer["error"].is_string(), "{answer}");
    streams(&server, 1);
}

#[test]
fn parameters_may_be_large() {
    let server = initialised();
    let large = json!({ "a": "x".repeat(1 << 20), "b": "é".repeat(1 << 20) });
    let (status, answer) = activate(&server, large.clone());
    assert_eq!(status, 200, "{}", server.log());
    assert!(answer == large);
}

#[test]
fn logs_are_framed() {
    let server = initialised();
    assert_eq!(activate(&server, json!({ "do": "log" })), (200, json!({})));
    let (stdout, stderr) = streams(&server, 1);
    assert!(stdout.ends_with(&format!("hello stdout\n{{not the result\n{END}")), "{stdout}");
    assert_eq!(stderr, format!("hello stderr\n{END}"));
    assert_eq!(activate(&server, json!({ "do": "log" })).0, 200);
    streams(&server, 2);
}

#[test]
fn a_guest_cannot_end_its_log() {
    let server = initialised();
    assert_eq!(activate(&server, json!({ "do": "forge" })).0, 200);
    let forged = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XX\\u{58}\n";
    let (stdout, stderr) = streams(&server, 1);
    assert!(stdout.ends_with(&format!("{forged}{END}")), "{stdout}");
    assert_eq!(stderr, format!("and {forged}{END}"));
}

#[test]
fn results_that_are_errors_are_results() {
    let server = initialised();
    assert_eq!(activate(&server, json!({ "do": "error" })), (200, json!({ "error": "no" })));
    assert_eq!(activate(&server, json!({ "do": "array" })), (200, json!(["a", "b"])));
}

#[test]
fn other_results_are_errors() {
    let server = initialised();
    let message = "The action did not return a dictionary or array.";
    for what in ["number", "nothing"] {
        let answer = activate(&server, json!({ "do": what }));
        assert_eq!(answer, (502, json!({ "error": message })), "{what}");
    }
    let (status, answer) = activate(&server, json!({ "do": "exit" }));
    assert_eq!(status, 502);
    assert!(answer["error"].as_str().unwrap().contains("exited with code 3"), "{answer}");
    let (status, answer) = activate(&server, json!({ "do": "panic" }));
    assert_eq!(status, 502);
    assert_eq!(answer, json!({ "error": "The action failed. See logs for details." }));
    let (stdout, stderr) = streams(&server, 4);
    assert!(stdout.contains(&format!("before the exit\n{END}")), "{stdout}");
    assert!(stdout.contains(&format!("before the panic\n{END}")), "{stdout}");
    assert!(stderr.contains("asked for"), "{stderr}");
    assert_eq!(activate(&server, json!({})), (200, json!({})), "it goes on");
}

#[test]
fn requests_have_to_be_proper() {
    let server = container(&[]);
    let missing = json!({ "error": "Missing main/no code to execute." });
    assert_eq!(post(&server, "/init", &init_payload("", true)), (403, missing.clone()));
    assert_eq!(post(&server, "/init", &json!({ "value": {} })), (403, missing));
    for wrong in [json!({}), json!({ "value": { "code": 1 } }), json!([])] {
        let (status, answer) = post(&server, "/init", &wrong);
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    }
    let answer = post(&server, "/init", &init_payload(&STANDARD.encode(action()), true));
    assert_eq!(answer.0, 200, "{}", answer.1);
    for wrong in [json!({ "value": 1 }), json!([])] {
        assert_eq!(post(&server, "/run", &wrong).0, 400, "{wrong}");
    }
}

/// The archive of files, in base64.
fn archive(files: &[(&str, &[u8])]) -> String {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    STANDARD.encode(archive.finish().unwrap().into_inner())
}

#[test]
fn bad_code_is_told_and_good_code_may_follow() {
    let server = container(&[]);
    let no_module = STANDARD.encode("no module at all");
    let bomb = archive(&[("a.wasm", &vec![0; 50 << 20])]);
    for (code, binary, reason) in [
        ("%", true, "base64"),
        (&no_module, true, ""),
        ("(module", false, ""),
        ("(module)", false, "memory"),
        (&bomb, true, ""),
    ] {
        let (status, answer) = post(&server, "/init", &init_payload(code, binary));
        assert_eq!(status, 502, "{answer}");
        let message = answer["error"].as_str().unwrap();
        assert!(message.starts_with("Initialization has failed due to: "), "{message}");
        assert!(message.contains(reason), "{message}");
        assert_eq!(activate(&server, json!({})).0, 400);
    }
    streams(&server, 5);
    let zip = archive(&[("README", b""), ("exec.wasm", action())]);
    assert_eq!(post(&server, "/init", &init_payload(&zip, true)).0, 200);
    assert_eq!(activate(&server, json!({ "a": 1 })), (200, json!({ "a": 1 })));
}

/// An artifact of the action, in base64.
fn native(folder: &Path) -> String {
    let (module, artifact) = (folder.join("action.wasm"), folder.join("action.faas"));
    std::fs::write(&module, action()).unwrap();
    let arguments = ["build".as_ref(), module.as_os_str(), "-o".as_ref(), artifact.as_os_str()];
    run(&arguments).expect(0, &[]);
    STANDARD.encode(std::fs::read(artifact).unwrap())
}

#[test]
fn native_code_is_taken_on_demand_only() {
    let folder = scratch();
    let code = init_payload(&native(folder.path()), true);
    let (status, answer) = post(&container(&[]), "/init", &code);
    assert_eq!(status, 502);
    assert!(answer["error"].as_str().unwrap().contains("native code is not taken"), "{answer}");
    let server = container(&["--allow-native"]);
    assert_eq!(post(&server, "/init", &code).0, 200);
    assert_eq!(activate(&server, json!({ "a": 1 })), (200, json!({ "a": 1 })));
}

#[test]
fn main_names_an_export_if_there_is_one() {
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\08\00\00\00") (data (i32.const 16) "{\"a\": 1}")
        (data (i32.const 32) "\30\00\00\00\08\00\00\00") (data (i32.const 48) "{\"b\": 2}")
        (func (export "niam")
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))))
        (func (export "_start")
            (drop (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 64)))))"#;
    for (main, result) in [("niam", json!({ "a": 1 })), ("other", json!({ "b": 2 }))] {
        let server = container(&[]);
        let init = json!({ "value": { "name": "x", "main": main, "code": wat, "binary": false } });
        assert_eq!(post(&server, "/init", &init).0, 200);
        assert_eq!(activate(&server, json!({})), (200, result));
    }
}

/// A guest with a buffer, which it leaves as it is.
const BUFFERED: &str = r#"(module
    (memory (export "memory") 1)
    (global $len (mut i32) (i32.const 0))
    (func (export "wasm_memory_buffer_allocate_space") (param i32)
        (global.set $len (local.get 0)))
    (func (export "get_wasm_memory_buffer_pointer") (result i32) (i32.const 1024))
    (func (export "get_wasm_memory_buffer_len") (result i32) (global.get $len))
    (func (export "_start")))"#;

#[test]
fn an_executor_has_many_containers() {
    let server = container(&[]);
    let start =
        || post(&server, "/start", &json!({})).1["containerId"].as_str().unwrap().to_owned();
    let (one, other) = (start(), start());
    assert_ne!(one, other);
    let wow = |container: &str, path: &str, body: Value| {
        post(&server, &format!("/{container}/{path}"), &body)
    };
    assert_eq!(wow(&one, "init", init_payload(&STANDARD.encode(action()), true)).0, 200);
    assert_eq!(wow(&other, "init", init_payload(BUFFERED, false)).0, 200);
    assert_eq!(wow(&other, "init", init_payload(BUFFERED, false)).0, 403);

    let success = |result: Value| json!({ "status": "success", "status_code": 0, "success": true, "result": result });
    let (status, answer) = wow(&one, "run", json!({ "value": { "a": 1 } }));
    assert_eq!((status, answer), (200, success(json!({ "a": 1 }))));
    let (status, answer) = wow(&other, "run", json!({ "value": { "Ok": { "b": 2 } } }));
    assert_eq!((status, answer), (200, success(json!({ "b": 2 }))));
    let (status, answer) = wow(&other, "run", json!({ "value": { "Err": { "error": "no" } } }));
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({
            "status": "application error", "status_code": 1, "success": false,
            "result": { "error": "no" },
        })
    );

    assert_eq!(wow(&one, "destroy", json!({})).0, 200);
    assert_eq!(wow(&one, "run", json!({ "value": {} })).0, 400);
    assert_eq!(wow(&one, "destroy", json!({})).0, 200);
    assert_eq!(wow(&other, "run", json!({ "value": { "Ok": [] } })).0, 200);
    assert_eq!(wow(&one, "init", init_payload(BUFFERED, false)).0, 200, "it may come again");
}

/// The directory of an action's annotations is there under the name that it has on the host, if the server allows
/// it.
#[test]
fn an_executors_action_has_its_directory() {
    let folder = scratch();
    let dir = folder.path().canonicalize().unwrap();
    std::fs::write(dir.join("in.json"), r#"{"from": "the file"}"#).unwrap();
    let mut init = init_payload(&STANDARD.encode(action()), true);
    init["value"]["env"] = json!({ "FILE": dir.join("in.json") });
    init["value"]["annotations"] = json!({ "dir": dir, "net_access": false });
    let (status, answer) = post(&container(&[]), "/one/init", &init);
    assert_eq!(status, 502);
    assert!(answer["error"].as_str().unwrap().contains("dirs"), "{answer}");
    let server = container(&["--allow-dir", dir.to_str().unwrap()]);
    assert_eq!(post(&server, "/one/init", &init).0, 200);
    let (status, answer) = post(&server, "/one/run", &json!({ "value": { "do": "file" } }));
    assert_eq!((status, &answer["result"]), (200, &json!({ "from": "the file" })), "{answer}");
    init["value"]["annotations"] = json!({ "dir": 7 });
    assert_eq!(post(&server, "/two/init", &init).0, 502);
    init["value"]["annotations"] = json!([{ "key": "dir", "value": 7 }]);
    assert_eq!(post(&server, "/three/init", &init).0, 200, "those of OpenWhisk are not of use");
}

/// An executor's request by `net_access` is one that it only pretends to send.
#[test]
fn the_import_of_an_executors_network_is_refused_by_name() {
    let wat = r#"(module (import "http" "get" (func (result i32)))
        (memory (export "memory") 1) (func (export "_start")))"#;
    let mut init = init_payload(wat, false);
    init["value"]["annotations"] = json!({ "net_access": true });
    let (status, answer) = post(&container(&[]), "/one/init", &init);
    assert_eq!(status, 502);
    assert!(answer["error"].as_str().unwrap().contains("\"http\" \"get\""), "{answer}");
}
