use super::*;
use std::time::Duration;
use wfaas_build::{ReseedAt, Until};
use wfaas_function::stores::{StoreGrant, StoreName};
use wfaas_function::{Abi, ByteSize, Carrier, Coding, Dir, Limits, OnDisconnect, Session, Span};

fn parse(text: &str) -> anyhow::Result<Manifest> {
    Manifest::parse(Path::new("/srv/resize"), text)
}

fn store((name, shared): (&str, bool)) -> (StoreName, StoreGrant) {
    (StoreName::try_from(name.to_owned()).unwrap(), StoreGrant { shared })
}

fn warm_up(method: &str, path: &str, query: &str, body: &str) -> WarmUp {
    let [method, path, query, body] = [method, path, query, body].map(str::to_owned);
    WarmUp { method, path, query, body: body.into() }
}

fn reseed(at: ReseedAt, bytes: u64) -> ReseedRange {
    ReseedRange { at, bytes }
}

#[test]
fn a_program_may_be_captured_where_it_waits() {
    let parse = |init: &str| {
        let text = format!("name = \"a\"\nwasm = \"a.wasm\"\ninit = {init}\n");
        Manifest::parse(Path::new("/f"), &text).map(|manifest| manifest.init)
    };
    let export = InitKey::Export("prepare".to_owned());
    assert_eq!(parse("\"prepare\"").unwrap(), Some(export));
    assert_eq!(parse("{ until = \"stdin\" }").unwrap(), Some(InitKey::Until(Until::Stdin)));
    let import = Until::Import { module: "env".to_owned(), name: "next".to_owned() };
    let found = parse("{ until = { module = \"env\", name = \"next\" } }").unwrap();
    assert_eq!(found, Some(InitKey::Until(import)));
    for wrong in ["{ until = \"stdout\" }", "{}", "{ until = { name = \"next\" } }", "7"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_key_arrives() {
    let manifest = parse(
        r#"
        name = "resize"
        build = ["make", "all"]
        wasm = "out/resize.wasm"
        abi = "reactor"
        init = "prepare"
        warmup = ["one", { path = "/x", query = "a=b" }, { method = "PUT", body = "two" }]
        uniqueness = "strict"
        reseed = [["state", 2500], [1024, 8], ["0x20", 4]]
        bounds = "trap"
        files = { "lib" = "/usr/lib", "../data.bin" = "/data.bin" }
        route = "/img/resize"
        args = ["-q"]
        content_type = "image/png"
        tenant = "pictures"
        on_disconnect = "finish"
        compress = ["br", "gzip"]
        pass_authorization = true
        export = "resize"
        allowed_hosts = ["*.example"]
        allowed_sockets = ["tcp://db.example:5432"]
        [env]
        QUALITY = "80"
        [config]
        filter = "sharp"
        [session]
        cookie = "sid"
        max = 50
        bytes = "64KiB"
        idle = "1min"
        [stores]
        default = {}
        All = { shared = true }
        [limits]
        memory = "64MiB"
        time = "2s"
        cpu = "300ms"
        output = 4096
        log = "1KiB"
        tmp = "2KiB"
        [[dirs]]
        host = "pictures"
        guest = "/pictures"
        read_only = true
        [[dirs]]
        host = "/srv/fonts"
        guest = "."
        "#,
    )
    .unwrap();
    let expected = Manifest {
        folder: "/srv/resize".into(),
        name: "resize".parse().unwrap(),
        build: Some(vec!["make".into(), "all".into()]),
        wasm: "/srv/resize/out/resize.wasm".into(),
        init: Some(InitKey::Export("prepare".into())),
        warmup: vec![
            warm_up("POST", "", "", "one"),
            warm_up("GET", "/x", "a=b", ""),
            warm_up("PUT", "", "", "two"),
        ],
        uniqueness: Some(Uniqueness::Strict),
        reseed: vec![
            reseed(ReseedAt::Symbol("state".into()), 2500),
            reseed(ReseedAt::Address(1024), 8),
            reseed(ReseedAt::Address(32), 4),
        ],
        bounds: Some(BoundsStrategy::Trap),
        files: vec![
            Bundled { host: "/srv/resize/../data.bin".into(), guest: "/data.bin".into() },
            Bundled { host: "/srv/resize/lib".into(), guest: "/usr/lib".into() },
        ],
        spec: Spec {
            name: Some("resize".parse().unwrap()),
            route: Some("/img/resize".parse().unwrap()),
            abi: Some(Abi::new("reactor")),
            export: Some("resize".into()),
            args: vec!["-q".into()],
            env: [("QUALITY".to_owned(), "80".to_owned())].into(),
            dirs: vec![
                Dir {
                    host: "/srv/resize/pictures".into(),
                    guest: "/pictures".into(),
                    read_only: true,
                    ..Dir::default()
                },
                Dir { host: "/srv/fonts".into(), guest: ".".into(), ..Dir::default() },
            ],
            config: [("filter".to_owned(), "sharp".to_owned())].into(),
            allowed_hosts: vec!["*.example".into()],
            allowed_sockets: vec!["tcp://db.example:5432".parse().unwrap()],
            stores: [("All", true), ("default", false)].map(store).into(),
            content_type: Some("image/png".into()),
            tenant: Some("pictures".parse().unwrap()),
            on_disconnect: Some(OnDisconnect::Finish),
            compress: vec![Coding::Br, Coding::Gzip],
            pass_authorization: Some(true),
            session: Some(Session {
                carrier: Carrier::Cookie("sid".to_owned()),
                max: 50,
                bytes: ByteSize(65_536),
                idle: Span(Duration::from_secs(60)),
            }),
            limits: Limits {
                memory: Some(ByteSize(67_108_864)),
                time: Some(Span(Duration::from_secs(2))),
                cpu: Some(Span(Duration::from_millis(300))),
                output: Some(ByteSize(4096)),
                log: Some(ByteSize(1024)),
                tmp: Some(ByteSize(2048)),
            },
        },
    };
    assert_eq!(manifest, expected);
}

#[test]
fn one_key_is_enough() {
    let folder = tempfile::Builder::new().prefix("fn-").rand_bytes(0).tempdir().unwrap();
    let manifest = Manifest::parse(folder.path(), "wasm = 'a.wat'").unwrap();
    assert_eq!(manifest.name.as_str(), "fn-");
    assert_eq!(manifest.spec.route, None);
    assert_eq!(manifest.build, None);
}

#[test]
fn a_command_line_goes_to_the_shell() {
    let manifest = parse("name = 'a'\nwasm = 'a.wasm'\nbuild = 'make && true'").unwrap();
    assert_eq!(manifest.build.unwrap(), ["sh", "-c", "make && true"]);
}

/// A workspace has one `target` for all its members.
#[test]
fn a_module_may_lie_outside_of_the_folder() {
    let wasm = |path| parse(&format!("name = 'a'\nwasm = '{path}'")).unwrap().wasm;
    assert_eq!(wasm("../target/a.wasm"), Path::new("/srv/resize/../target/a.wasm"));
    assert_eq!(wasm("/opt/a.wasm"), Path::new("/opt/a.wasm"));
}

/// Each wrong file with what its message has to name.
#[test]
fn mistakes_name_line_and_key() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["wasm"]),
        ("name = 'a'\nwasm = 'a'\nrout = '/a'", &["line 3", "`rout`", "`route`"]),
        ("wasm = 'a'\nname = 3", &["line 2", "name", "string"]),
        ("name = 'a'\nwasm = 'a'\nabi = 'wasm'", &["line 3", "`wasi`", "`reactor`"]),
        ("name = 'a'\nwasm = 'a'\nbounds = 'luck'", &["line 3", "`luck`", "guard-uffd"]),
        ("name = 'a'\nwasm = 'a'\nbuild = 3", &["line 3", "command line", "array"]),
        ("name = 'a'\nwasm = 'a'\nbuild = []", &["line 3", "build", "empty"]),
        ("name = 'a'\nwasm = 'a'\nbuild = ' '", &["line 3", "build", "empty"]),
        ("name = 'a'\nwasm = 'a'\n[limits]\nmemory = '6 apples'", &["line 4", "6 apples", "MiB"]),
        ("name = 'a'\nwasm = 'a'\n[limits]\nmemory = -1", &["line 4", "negative"]),
        ("name = 'a'\nwasm = 'a'\n[limits]\nmemory = true", &["line 4", "64MiB"]),
        ("name = 'a'\nwasm = 'a'\n[limits]\ntime = 0", &["line 4", "more than 0"]),
        (
            "name = 'a'\nwasm = 'a'\n[limits]\ndisk = 1",
            &["line 4", "`disk`", "`memory`", "`time`", "`cpu`"],
        ),
        ("name = 'a'\nwasm = 'a'\n[env]\nA = 1", &["line 4", "string"]),
        ("name = 'a'\nwasm = 'a'\n[files]\nlib = 'lib'", &["line 4", "\"lib\"", "absolute"]),
        ("name = 'a'\nwasm = 'a'\n[stores]\n'a/b' = {}", &["stores", "a/b", "letters"]),
        ("name = 'a'\nwasm = 'a'\n[stores]\na = { all = 1 }", &["stores.a", "`all`", "`shared`"]),
        (
            "name = 'a'\nwasm = 'a'\nallowed_sockets = ['db:5432']",
            &["line 3", "db:5432", "tcp://HOST:PORT"],
        ),
        ("name = 'a'\nwasm = 'a'\n[[dirs]]\nhost = 'x'", &["dirs", "`guest`"]),
        ("name = 'a'\nwasm = 'a'\n[[dirs]]\nhost = 'x'\nro = true", &["dirs", "`read_only`"]),
        ("name = 'a'\nwasm = 'a'\nwarmup = 'x'", &["line 3", "sequence"]),
        ("name = 'a'\nwasm = 'a'\nwarmup = [3]", &["line 3", "body", "`path`"]),
        ("name = 'a'\nwasm = 'a'\nwarmup = [{ header = 'x' }]", &["line 3", "`method`"]),
        ("name = 'a'\nwasm = 'a'\nuniqueness = 'some'", &["line 3", "\"report\"", "\"strict\""]),
        ("name = 'a'\nwasm = 'a'\nreseed = [['a']]", &["line 3", "symbol", "number of bytes"]),
        ("name = '../a'\nwasm = 'a'", &["line 1", "name", "lower-case"]),
        ("name = 'Ä'\nwasm = 'a'", &["line 1", "name"]),
        ("name = ''\nwasm = 'a'", &["line 1", "name"]),
        ("name = 'a'\nwasm = ''", &["line 2", "wasm"]),
        ("name = 'a'\nwasm = '..'", &["line 2", "wasm", "path of a file"]),
        ("name = 'a'\nwasm = '/'", &["line 2", "wasm", "path of a file"]),
        ("name = 'a'\nwasm = 'a'\nroute = 'a'", &["line 3", "route"]),
        ("name = 'a'\nwasm = 'a'\nroute = '/a b'", &["line 3", "route"]),
        ("name = 'a", &["line 1"]),
    ];
    for (text, expected) in cases {
        let message = format!("{:#}", parse(text).expect_err(text));
        for part in *expected {
            assert!(message.contains(part), "{text:?} gives\n{message}\nwithout {part:?}");
        }
    }
}

#[test]
fn a_folder_without_the_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = format!("{:#}", Manifest::read(folder.path()).unwrap_err());
    assert!(message.contains("no faas.toml"), "{message}");
    assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
}

#[test]
fn a_server_is_told_what_the_file_says() {
    let manifest = parse(
        "name = 'a'\nwasm = 'a'\nabi = 'wasi'\nroute = '/r'\nenv.A = 'b'\n\
         limits = { memory = '1MiB', time = 0.0001 }",
    );
    let json = serde_json::to_value(manifest.unwrap().spec).unwrap();
    let expected = serde_json::json!({
        "name": "a", "route": "/r", "abi": "wasi", "env": { "A": "b" },
        "limits": { "memory_bytes": 1_048_576, "time_ms": 1 },
    });
    assert_eq!(json, expected);
}
