//! Initialisation at build time.

mod common;

use common::{compile, engine, handle, spec};
use std::time::Duration;
use wfaas_abi::Artifact;
use wfaas_build::{Init, InitError, Initialised, Options, build, initialise, snapshot};
use wfaas_function::{AtInit, Dir, Function, Spec};
use wfaas_vm::{Engine, Module};

/// A reactor that answers eight bytes of memory and a global, as text digits set by its
/// initialisation functions: `s` by start, `i` by `_initialize`, `w` by wizer, `o` by `other`.
const STEPS: &str = r#"(module
  (memory (export "memory") 1)
  (table 4 funcref) (elem declare func $answer)
  (type $answer (func (result i64)))
  (global $next (mut i32) (i32.const 64))
  (func $put (param i32)
    (i32.store8 (global.get $next) (local.get 0))
    (global.set $next (i32.add (global.get $next) (i32.const 1))))
  (func $start (call $put (i32.const 115)))
  (start $start)
  (func (export "_initialize")
    (call $put (i32.const 105))
    (table.set (i32.const 3) (ref.func $answer)))
  (func (export "wizer.initialize") (call $put (i32.const 119)))
  (func (export "other") (call $put (i32.const 111)))
  (func (export "typed") (param i32))
  (func (export "trap") unreachable)
  (func (export "forever") (loop br 0))
  (func $answer (result i64)
    (i64.or (i64.shl (i64.const 64) (i64.const 32))
      (i64.extend_i32_u (i32.sub (global.get $next) (i32.const 64)))))
  (func (export "faas_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "faas_handle") (param i32 i32) (result i64)
    (call_indirect (type $answer) (i32.const 3))))"#;

fn init(export: Option<&str>) -> Init {
    Init { export: export.map(str::to_owned), ..Init::default() }
}

fn image(engine: &Engine, artifact: &[u8], export: Option<&str>) -> Vec<u8> {
    match initialise(engine, artifact, &spec(), &init(export)).unwrap() {
        Initialised::Artifact(bytes) => bytes,
        Initialised::Kept { reason } => panic!("{reason}"),
    }
}

fn answer(engine: &Engine, artifact: &[u8]) -> String {
    let module = Module::from_bytes(engine, artifact).unwrap();
    let function = Function::new(engine, &module, spec()).unwrap();
    let first = handle(&function, "").unwrap();
    assert_eq!(handle(&function, "").unwrap(), first);
    String::from_utf8(first).unwrap()
}

#[test]
fn steps_run_in_order_and_once() {
    let engine = engine();
    let artifact = image(&engine, &compile(STEPS), None);
    Artifact::parse(&artifact).unwrap().verify().unwrap();
    assert_eq!(answer(&engine, &artifact), "siw");
    // Again: what has run does not run again.
    let artifact = image(&engine, &artifact, Some("other"));
    assert_eq!(answer(&engine, &artifact), "siwo");
}

#[test]
fn another_export_can_be_spec() {
    let engine = engine();
    assert_eq!(answer(&engine, &image(&engine, &compile(STEPS), Some("other"))), "sio");
    assert_eq!(answer(&engine, &image(&engine, &compile(STEPS), Some("_initialize"))), "si");
}

#[test]
fn images_are_deterministic() {
    let engine = engine();
    let artifact = compile(STEPS);
    assert_eq!(image(&engine, &artifact, None), image(&engine, &artifact, None));
}

#[test]
fn a_snapshot_goes_beside_its_artifact() {
    let engine = engine();
    let artifact = image(&engine, &compile(STEPS), None);
    let proto = snapshot(&engine, &artifact, &spec(), &init(Some("other"))).unwrap();
    let module = Module::from_bytes(&engine, &artifact).unwrap();
    let with_proto = module.with_proto(&proto).unwrap();
    let function = Function::new(&engine, &with_proto, spec()).unwrap();
    assert_eq!(handle(&function, "").unwrap(), b"siwo");
    assert_eq!(answer(&engine, &artifact), "siw");
    let stranger = Module::from_bytes(&engine, &compile(STEPS)).unwrap();
    assert!(stranger.with_proto(&proto).is_err());
}

#[test]
fn mistakes_are_named() {
    let engine = engine();
    let artifact = compile(STEPS);
    let error = initialise(&engine, &artifact, &spec(), &init(Some("nothing"))).unwrap_err();
    assert!(matches!(error, InitError::NoExport { .. }));
    assert!(error.to_string().contains("other"), "the message lists what there is: {error}");
    let error = initialise(&engine, &artifact, &spec(), &init(Some("typed"))).unwrap_err();
    assert!(matches!(error, InitError::ExportType { .. }), "{error}");
    let error = initialise(&engine, &artifact, &spec(), &init(Some("memory"))).unwrap_err();
    assert!(matches!(error, InitError::ExportType { .. }), "{error}");
    assert!(initialise(&engine, &artifact[..1000], &spec(), &init(None)).is_err());
}

#[test]
fn a_trap_fails_with_its_backtrace() {
    let engine = engine();
    let error = initialise(&engine, &compile(STEPS), &spec(), &init(Some("trap"))).unwrap_err();
    assert!(matches!(error, InitError::Failed { .. }));
    let text = error.to_string();
    assert!(text.contains("unreachable") && text.contains("\"trap\""), "{text}");
    let start = r#"(module (func $boom unreachable) (start $boom) (func (export "_start")))"#;
    let text = initialise(&engine, &compile(start), &spec(), &init(None)).unwrap_err().to_string();
    assert!(text.contains("instantiation failed") && text.contains("boom"), "{text}");
}

#[test]
fn time_is_limited_if_asked_for() {
    let engine = engine();
    let init = Init { time: Some(Duration::from_millis(100)), ..init(Some("forever")) };
    let text = initialise(&engine, &compile(STEPS), &spec(), &init).unwrap_err().to_string();
    assert!(text.contains("deadline"), "{text}");
}

#[test]
fn an_exit_in_init_counts_by_its_code() {
    let engine = engine();
    let exit = |code| {
        compile(&format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 1)
              (func (export "wizer.initialize")
                (i32.store (i32.const 0) (i32.const 1)) (call $exit (i32.const {code})))
              (func (export "_start")
                (if (i32.eqz (i32.load (i32.const 0))) (then unreachable))))"#
        ))
    };
    let error = initialise(&engine, &exit(7), &spec(), &init(None)).unwrap_err();
    assert!(matches!(error, InitError::Exit { code: 7, .. }), "{error}");
    assert_eq!(answer(&engine, &image(&engine, &exit(0), None)), "");
}

/// Everything for which there is no image: the beginning of a module, functions that leave it so,
/// and a part of the reason.
const NO_IMAGE: &[(&str, &str, &str)] = &[
    (r#"(import "env" "memory" (memory 1))"#, "", r#"imports "env" "memory""#),
    (r#"(import "env" "table" (table 1 funcref))"#, "", r#"imports "env" "table""#),
    (r#"(import "env" "global" (global i32))"#, "", r#"imports "env" "global""#),
    (r#"(import "env" "tag" (tag))"#, "", r#"imports "env" "tag""#),
    (r#"(import "env" "func" (func))"#, "", r#"imports "env" "func""#),
    (
        "(tag $e) (global $g (mut exnref) (ref.null exn))",
        "(block $h (result exnref) (try_table (catch_all_ref $h) (throw $e)) (unreachable))
         (global.set $g)",
        "global 0 holds an exception",
    ),
    (
        "(tag $e) (table $t 2 exnref)",
        "(i32.const 1)
         (block $h (result exnref) (try_table (catch_all_ref $h) (throw $e)) (unreachable))
         (table.set $t)",
        "table 0 holds an exception",
    ),
];

fn exports(names: &[&str], body: &str) -> String {
    names.iter().map(|name| format!("(func (export {name:?}) {body})")).collect()
}

#[test]
fn what_has_no_image_initialises_each_instance() {
    let engine = engine();
    for (head, body, reason) in NO_IMAGE {
        let wat = format!("(module {head} {})", exports(&["_initialize"], body));
        let artifact = compile(&wat);
        let kept = initialise(&engine, &artifact, &spec(), &init(None)).unwrap();
        let Initialised::Kept { reason: told } = kept else { panic!("{wat} has an image") };
        assert!(told.contains(reason), "{told}");
        let error = snapshot(&engine, &artifact, &spec(), &init(None)).unwrap_err();
        assert!(matches!(&error, InitError::Impossible(told) if told.contains(reason)), "{error}");
    }
}

#[test]
fn the_work_of_an_init_export_is_never_lost() {
    let engine = engine();
    for (head, body, reason) in NO_IMAGE {
        let exported = ["_initialize", "wizer.initialize", "init"];
        let wat = format!("(module {head} {})", exports(&exported, body));
        for (asked, export) in [
            (None, "wizer.initialize"),
            (Some("init"), "init"),
            (Some("_initialize"), "_initialize"),
        ] {
            let error = initialise(&engine, &compile(&wat), &spec(), &init(asked)).unwrap_err();
            let InitError::Lost { export: lost, reason: told } = error else { panic!("{error}") };
            assert!(lost == export && told.contains(reason), "{lost}: {told}");
        }
    }
}

/// A reactor that answers the content of `text`, which it has read at its initialisation, and the error
/// number of making `new` then. `leave` leaves `text` open.
const READER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open" (func $path_open
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "text") (data (i32.const 110) "new")
  (data (i32.const 200) "\00\02\00\00\10\00\00\00")
  (func $open (param $path i32) (param $len i32) (param $flags i32) (param $rights i64) (result i32)
    (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (local.get $len)
      (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 300)))
  (func $make (result i32)
    (local $errno i32)
    (local.set $errno (call $open (i32.const 110) (i32.const 3) (i32.const 1) (i64.const 64)))
    (if (i32.eqz (local.get $errno)) (then (drop (call $close (i32.load (i32.const 300))))))
    (local.get $errno))
  (func $text (call $open (i32.const 100) (i32.const 4) (i32.const 0) (i64.const 2))
    (if (then (return)))
    (if (call $read (i32.load (i32.const 300)) (i32.const 200) (i32.const 1) (i32.const 304))
      (then unreachable)))
  (func (export "wizer.initialize")
    (call $text)
    (drop (call $close (i32.load (i32.const 300))))
    (i32.store8 (i32.add (i32.const 512) (i32.load (i32.const 304))) (call $make)))
  (func (export "leave") (call $text))
  (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "faas_handle") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.const 512) (i64.const 32))
      (i64.extend_i32_u (i32.add (i32.load (i32.const 304)) (i32.const 1))))))"#;

/// A folder with a file, as a directory of a specification.
fn with_dir(dir: Dir) -> (tempfile::TempDir, Spec) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "kept").unwrap();
    let dir = Dir { host: folder.path().to_owned(), guest: "/data".into(), ..dir };
    (folder, Spec { dirs: vec![dir], ..spec() })
}

/// Error numbers of preview1.
const ROFS: u8 = 69;
const SUCCESS: u8 = 0;

#[test]
fn directories_are_there_as_far_as_the_specification_says() {
    let engine = engine();
    let tmp = Some(wfaas_function::ByteSize(1 << 20));
    for (dir, answer, made) in [
        (Dir::default(), [&b"kept"[..], &[ROFS]].concat(), false),
        (Dir { read_only: true, ..Dir::default() }, [&b"kept"[..], &[ROFS]].concat(), false),
        (Dir { init: AtInit::Write, ..Dir::default() }, [&b"kept"[..], &[SUCCESS]].concat(), true),
        (Dir { overlay: true, ..Dir::default() }, [&b"kept"[..], &[SUCCESS]].concat(), false),
        // Nothing is read, and there is no space for anything.
        (Dir { init: AtInit::None, ..Dir::default() }, vec![51], false),
    ] {
        let (folder, mut spec) = with_dir(dir.clone());
        spec.limits.tmp = tmp;
        let built = build(READER.as_bytes(), &spec, &Options::default(), &()).unwrap();
        assert_eq!(built.report.saw_dirs, dir.init != AtInit::None);
        assert_eq!(folder.path().join("new").exists(), made, "{dir:?}");
        // Requests find what was read, whether the directory is there or not.
        drop(folder);
        let module = Module::from_bytes(&engine, &built.artifact).unwrap();
        let function = Function::new(&engine, &module, self::spec()).unwrap();
        assert_eq!(handle(&function, "").unwrap(), answer, "{dir:?}");
    }
}

#[test]
fn a_file_of_the_host_that_stays_open_is_refused_by_its_path() {
    let engine = engine();
    let (folder, spec) = with_dir(Dir::default());
    let error = initialise(&engine, &compile(READER), &spec, &init(Some("leave"))).unwrap_err();
    assert!(matches!(error, InitError::Open { .. }));
    let path = folder.path().canonicalize().unwrap().join("text");
    let named = format!("descriptor 4, {}", path.display());
    assert!(error.to_string().contains(&named), "{error}");
}

#[test]
fn a_directory_that_is_missing_is_named_where_something_runs() {
    let engine = engine();
    let (folder, spec) = with_dir(Dir::default());
    drop(folder);
    let error = initialise(&engine, &compile(READER), &spec, &init(None)).unwrap_err();
    assert!(matches!(error, InitError::Spec(_)), "{error}");
    assert!(error.to_string().contains(&spec.dirs[0].host.display().to_string()), "{error}");
    let command = compile(r#"(module (memory (export "memory") 1) (func (export "_start")))"#);
    assert!(initialise(&engine, &command, &spec, &init(None)).is_ok());
}

/// A program may end in its start function: so does every instance, under other engines too.
#[test]
fn an_exit_before_the_init_export_belongs_to_each_instance() {
    let engine = engine();
    let wat = |step: &str, more: &str, code: u32| {
        compile(&format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (func $end (call $exit (i32.const {code}))) {step} {more}
              (func (export "_start")))"#
        ))
    };
    let start = ("(start $end)", "instantiation exits with code 0");
    let initialize = (r#"(export "_initialize" (func $end))"#, "\"_initialize\" exits with code 0");
    for (step, reason) in [start, initialize] {
        let kept = initialise(&engine, &wat(step, "", 0), &spec(), &init(None)).unwrap();
        assert_eq!(kept, Initialised::Kept { reason: reason.to_owned() });
        let export = r#"(func (export "wizer.initialize"))"#;
        let error = initialise(&engine, &wat(step, export, 0), &spec(), &init(None)).unwrap_err();
        assert!(matches!(&error, InitError::Lost { reason: why, .. } if why == reason), "{error}");
        let error = initialise(&engine, &wat(step, "", 3), &spec(), &init(None)).unwrap_err();
        assert!(matches!(error, InitError::Exit { code: 3, .. }), "{error}");
    }
}
