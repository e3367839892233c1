//! Everything outside of its memory that a program has where it is captured: descriptors, files, clocks.

mod common;

use common::{engine, handle, spec};
use wfaas_abi::Artifact;
use wfaas_abi::BoundsStrategy;
use wfaas_abi::artifact::bundle::BundleWriter;
use wfaas_abi::checkpoint::{Learned, SavedObject};
use wfaas_build::{BuildError, Built, Init, InitError, Options, Spec, Until, build};
use wfaas_function::{Abi, AllowedDirs, AtInit, ByteSize, Dir, Function, FunctionError, Limits};
use wfaas_vm::{Config, Engine, Module, Tracking};

/// A program that does `before`, reads standard input, does `after`, and writes the bytes from 1024 on, as
/// many as its local 0 says. Functions answer an error number.
fn program(before: &str, after: &str) -> String {
    format!(
        r#"(module
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $set_flags (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "path_filestat_get"
        (func $stat (param i32 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 512) "dir/text")
      (data (i32.const 544) "new")
      ;; Opens the file with the name from $name on; its number.
      (func $open (param $dir i32) (param $name i32) (param $len i32) (param $create i32) (result i32)
        (if (call $path_open (local.get $dir) (i32.const 1) (local.get $name) (local.get $len)
            (local.get $create) (select (i64.const 0x64) (i64.const 0x26) (local.get $create)) (i64.const 0)
            (i32.const 0) (i32.const 64))
          (then unreachable))
        (i32.load (i32.const 64)))
      ;; Reads or writes $len bytes from $at on; how many.
      (func $get (param $fd i32) (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $len))
        (if (call $read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (i32.load (i32.const 8)))
      (func $put (param $fd i32) (param $at i32) (param $len i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $len))
        (if (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
      (func (export "_start") (local i32 i32)
        {before}
        (drop (call $get (i32.const 0) (i32.const 2048) (i32.const 1)))
        {after}
        (call $put (i32.const 1) (i32.const 1024) (local.get 0))))"#
    )
}

fn options(bundle: Option<Vec<u8>>) -> Options {
    let init = Some(Init { until: Some(Until::Stdin), ..Init::default() });
    Options { init, bundle, ..Options::default() }
}

/// A bundle with the file `dir/text`.
fn bundle() -> Option<Vec<u8>> {
    let mut writer = BundleWriter::default();
    writer.directory("/tmp", 0).unwrap();
    writer.file("/dir/text", 77, b"0123456789".to_vec()).unwrap();
    Some(writer.finish())
}

fn with_tmp() -> Spec {
    let limits = Limits { tmp: Some(ByteSize(1 << 20)), ..Limits::default() };
    Spec { limits, ..spec() }
}

fn built(module: &str, spec: &Spec, bundle: Option<Vec<u8>>) -> Result<Built, BuildError> {
    build(module.as_bytes(), spec, &options(bundle), &())
}

fn refusal(module: &str, spec: &Spec, bundle: Option<Vec<u8>>) -> String {
    built(module, spec, bundle).unwrap_err().to_string()
}

/// The answer to three requests, the same to each.
fn answer(built: &Built, spec: &Spec) -> String {
    let engine = engine();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    let mut function = Function::new(&engine, &module, spec.clone()).unwrap();
    function.open_dirs(AllowedDirs::Any, None).unwrap();
    let mut answers = (0..3).map(|_| String::from_utf8(handle(&function, "x").unwrap()).unwrap());
    let first = answers.next().unwrap();
    assert!(answers.all(|answer| answer == first));
    first
}

#[test]
fn a_file_goes_on_at_its_position() {
    let before =
        "(local.set 1 (call $open (i32.const 3) (i32.const 512) (i32.const 8) (i32.const 0)))
        (drop (call $get (local.get 1) (i32.const 1024) (i32.const 4)))";
    let after = "(local.set 0 (call $get (local.get 1) (i32.const 1024) (i32.const 100)))";
    let module = program(before, after);
    for spec in [spec(), with_tmp()] {
        let built = built(&module, &spec, bundle()).unwrap();
        assert_eq!(answer(&built, &spec), "456789");
        let artifact = Artifact::parse(&built.artifact).unwrap();
        let checkpoint = artifact.checkpoint().unwrap().unwrap();
        let file = &checkpoint.descriptors[4];
        let SavedObject::File(saved) = &file.object else { panic!("{file:?}") };
        assert_eq!((file.number, &*saved.path, saved.position), (4, "dir/text", 4));
        assert_eq!((saved.read, saved.write, saved.host), (true, false, None));
        assert_eq!(checkpoint.directories, ["/"]);
        assert_eq!((&*checkpoint.abi, checkpoint.until), ("wasi", None));
        assert_eq!(checkpoint.learned, Learned::default());
    }
}

#[test]
fn files_that_were_written_are_below_those_of_each_request() {
    // Writes 3 bytes, then 2 more in each request, and reads all of them.
    let before =
        "(local.set 1 (call $open (i32.const 3) (i32.const 544) (i32.const 3) (i32.const 1)))
        (call $put (local.get 1) (i32.const 512) (i32.const 3))";
    let after = "(call $put (local.get 1) (i32.const 515) (i32.const 2))
        (drop (call $close (local.get 1)))
        (local.set 1 (call $open (i32.const 3) (i32.const 544) (i32.const 3) (i32.const 0)))
        (local.set 0 (call $get (local.get 1) (i32.const 1024) (i32.const 100)))";
    let module = program(before, after);
    for bundle in [None, bundle()] {
        let built = built(&module, &with_tmp(), bundle.clone()).unwrap();
        assert_eq!(answer(&built, &with_tmp()), "dir/t");
        let artifact = Artifact::parse(&built.artifact).unwrap();
        let tree = artifact.bundle().unwrap().unwrap();
        assert_eq!(tree.root().child("new").unwrap().content(), b"dir");
        let text = tree.root().child("dir").and_then(|dir| dir.child("text"));
        assert_eq!(text.map(|text| text.mtime()), bundle.map(|_| 77));
        let root = artifact.checkpoint().unwrap().unwrap().root;
        assert_eq!(root, if text.is_some() { "/" } else { "/tmp" });
    }
}

#[test]
fn streams_are_closed_and_flagged_as_they_were() {
    let before = "(drop (call $close (i32.const 2)))
        (drop (call $set_flags (i32.const 1) (i32.const 4)))";
    // The error number of a closed stream, and the flags of stdout.
    let after = "(i32.store8 (i32.const 1024) (i32.add (i32.const 48) (call $fdstat (i32.const 2) (i32.const 128))))
        (drop (call $fdstat (i32.const 1) (i32.const 128)))
        (i32.store8 (i32.const 1025) (i32.add (i32.const 48) (i32.load16_u (i32.const 130))))
        (local.set 0 (i32.const 2))";
    let built = built(&program(before, after), &spec(), None).unwrap();
    assert_eq!(answer(&built, &spec()), "84");
}

#[test]
fn descriptors_keep_their_numbers() {
    // stdin becomes 2, and the file 0.
    let before =
        "(local.set 1 (call $open (i32.const 3) (i32.const 512) (i32.const 8) (i32.const 0)))
        (drop (call $renumber (local.get 1) (i32.const 2)))";
    let after = "(local.set 0 (call $get (i32.const 2) (i32.const 1024) (i32.const 100)))";
    let built = built(&program(before, after), &spec(), bundle()).unwrap();
    assert_eq!(answer(&built, &spec()), "0123456789");
}

#[test]
fn the_monotonic_clock_goes_on() {
    // Whether the second time is later than the first, by less than 1000 seconds.
    let time =
        |at: u32| format!("(drop (call $time (i32.const 1) (i64.const 0) (i32.const {at})))");
    let after = format!(
        "{} (i32.store8 (i32.const 1024) (i32.add (i32.const 48)
          (i64.lt_u (i64.sub (i64.load (i32.const 208)) (i64.load (i32.const 200))) (i64.const 1000000000000))))
        (local.set 0 (i32.const 1))",
        time(208)
    );
    let built = built(&program(&time(200), &after), &spec(), None).unwrap();
    assert_eq!(answer(&built, &spec()), "1");
    let artifact = Artifact::parse(&built.artifact).unwrap();
    let checkpoint = artifact.checkpoint().unwrap().unwrap();
    assert_eq!(checkpoint.learned, Learned::MONOTONIC);
    assert!(checkpoint.monotonic > 0 && checkpoint.monotonic < 1_000_000_000_000);
}

fn host_dir(folder: &std::path::Path, init: AtInit) -> Spec {
    let dir = Dir { host: folder.to_owned(), guest: "/d".to_owned(), init, ..Dir::default() };
    Spec { dirs: vec![dir], ..spec() }
}

#[test]
fn a_file_of_the_host_has_to_be_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("dir")).unwrap();
    let path = folder.path().join("dir/text");
    std::fs::write(&path, "0123456789").unwrap();
    let spec = host_dir(folder.path(), AtInit::Read);
    let before =
        "(local.set 1 (call $open (i32.const 3) (i32.const 512) (i32.const 8) (i32.const 0)))
        (drop (call $get (local.get 1) (i32.const 1024) (i32.const 4)))";
    let after = "(local.set 0 (call $get (local.get 1) (i32.const 1024) (i32.const 100)))";
    let built = built(&program(before, after), &spec, None).unwrap();
    assert_eq!(answer(&built, &spec), "456789");
    let engine = engine();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    let mut function = Function::new(&engine, &module, spec.clone()).unwrap();
    // Nobody has opened its directory.
    assert!(handle(&function, "x").is_err());
    function.open_dirs(AllowedDirs::Any, None).unwrap();
    std::fs::write(&path, "0123456789abc").unwrap();
    let ended = handle(&function, "x").unwrap_err().to_string();
    assert!(ended.contains("not what it was"), "{ended}");
    let refused = function.open_dirs(AllowedDirs::Any, None).unwrap_err().to_string();
    assert!(refused.contains("dir/text") && refused.contains("not what it was"), "{refused}");
    // Without its directory, and with another name for it.
    let without = Function::new(&engine, &module, self::spec()).unwrap_err().to_string();
    assert!(without.contains("/d") && without.contains("(none)"), "{without}");
}

#[test]
fn things_that_cannot_be_kept_are_refused_by_name() {
    let open =
        "(local.set 1 (call $open (i32.const 3) (i32.const 544) (i32.const 3) (i32.const 1)))";
    let unlinked =
        format!("{open} (drop (call $unlink (i32.const 3) (i32.const 544) (i32.const 3)))");
    let message = refusal(&program(&unlinked, ""), &with_tmp(), None);
    assert!(
        message.contains("descriptor 4 is a file that has no longer the name \"new\""),
        "{message}"
    );
    let folder = tempfile::tempdir().unwrap();
    let written = refusal(&program(open, ""), &host_dir(folder.path(), AtInit::Write), None);
    assert!(written.contains("open to write, \"new\""), "{written}");
    let folder = tempfile::tempdir().unwrap();
    let dir = Dir { overlay: true, ..host_dir(folder.path(), AtInit::Read).dirs[0].clone() };
    let overlay = Spec { dirs: vec![dir], ..with_tmp() };
    let overlaid = refusal(&program(open, ""), &overlay, None);
    assert!(overlaid.contains("changed files of \"/d\""), "{overlaid}");
}

#[test]
fn an_artifact_knows_what_it_was_captured_with() {
    let before = "(drop (call $env (i32.const 200) (i32.const 256))) (drop (call $args (i32.const 200) (i32.const 256)))";
    let module = program(before, "(local.set 0 (i32.const 1))");
    let env = [("A".to_owned(), "1".to_owned())].into_iter().collect();
    let spec = Spec { args: vec!["x".to_owned()], env, abi: Some(Abi::new("scgi")), ..spec() };
    let built = built(&module, &spec, None).unwrap();
    let engine = engine();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    let with = |spec: Spec| Function::new(&engine, &module, spec);
    // By itself it has its ABI and arguments.
    let alone = with(self::spec()).unwrap();
    assert_eq!((alone.abi().name, &*alone.spec().args), ("scgi", &["x".to_owned()][..]));
    assert!(with(spec.clone()).is_ok());
    let refused = |spec: Spec, field: &str| {
        let error = with(spec).unwrap_err();
        assert!(matches!(&error, FunctionError::Spec(_)), "{error}");
        assert!(error.to_string().starts_with(field), "{error}");
    };
    refused(Spec { abi: Some(Abi::new("cgi")), ..spec.clone() }, "abi: ");
    refused(Spec { args: vec!["y".to_owned()], ..spec.clone() }, "args: ");
    let other = [("A".to_owned(), "2".to_owned())].into_iter().collect();
    refused(Spec { env: other, ..spec }, "env: ");
}

#[test]
fn random_memory_is_found_and_reseeded() {
    let module = r#"(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (global (export "seed") i32 (i32.const 1024))
      (global $restored (mut i32) (i32.const 48))
      (func (export "faas_restored") (global.set $restored (i32.const 49)))
      (data (i32.const 0) "\00\0c\00\00\01\00\00\00")
      (data (i32.const 16) "\00\04\00\00\11\00\00\00")
      (func (export "_start") (local i32)
        (drop (call $random (i32.const 2048) (i32.const 16)))
        ;; The state of a generator is not the bytes themselves.
        (loop $next
          (i32.store8 (i32.add (i32.const 1024) (local.get 0))
            (i32.add (i32.const 7) (i32.load8_u (i32.add (i32.const 2048) (local.get 0)))))
          (i32.store8 (i32.add (i32.const 2048) (local.get 0)) (i32.const 0))
          (br_if $next (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 16))))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store8 (i32.const 1040) (global.get $restored))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))))"#;
    use wfaas_build::{ReseedAt, ReseedRange, Uniqueness};
    let with = |uniqueness, bytes| {
        let mut options = options(None);
        let init = options.init.as_mut().unwrap();
        init.uniqueness = uniqueness;
        let range = ReseedRange { at: ReseedAt::Symbol("seed".to_owned()), bytes };
        init.reseed = Some(range).into_iter().filter(|range| range.bytes > 0).collect();
        build(module.as_bytes(), &spec(), &options, &())
    };
    let report = with(Uniqueness::Report, 0).unwrap().report;
    assert!(report.notes[0].contains("from random bytes: "), "{:?}", report.notes);
    assert!(report.notes[0].contains("(seed + "), "{:?}", report.notes);
    assert_eq!(with(Uniqueness::Off, 0).unwrap().report.notes, [""; 0]);
    for short in [0, 8] {
        let error = with(Uniqueness::Strict, short).unwrap_err();
        assert!(matches!(&error, BuildError::Init(InitError::NotUnique(_))), "{error}");
    }
    let built = with(Uniqueness::Strict, 16).unwrap();
    let engine = engine();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    let function = Function::new(&engine, &module, spec()).unwrap();
    let answers: std::collections::BTreeSet<Vec<u8>> =
        (0..3).map(|_| handle(&function, "x").unwrap()).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|answer| answer.len() == 17 && answer[16] == b'1'));
    let error = with(Uniqueness::Off, 1 << 20).unwrap_err();
    assert!(matches!(&error, BuildError::Init(InitError::Reseed { .. })), "{error}");
}

/// A program with two memories. Its answer is 16 KiB of memory 0 from 4096 on, to which it never writes.
const SEEDED: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory $first (export "memory") 1)
  (memory $second 1)
  (export "a" (memory $second))
  (global $seed (mut i64) (i64.const 0))
  (func (export "faas_restored") (global.set $seed (i64.load $first (i32.const 4100))))
  (func (export "seed") (result i64) (global.get $seed))
  (data (i32.const 0) "\00\0c\00\00\01\00\00\00")
  (data (i32.const 16) "\00\10\00\00\00\40\00\00")
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))))"#;

/// The artifact of a module with these bytes to reseed from 4096 on.
fn reseeded(module: &str, bytes: u64, bounds: BoundsStrategy) -> Result<Built, BuildError> {
    let mut options = options(None);
    options.compile.bounds = bounds;
    let at = wfaas_build::ReseedAt::Address(4096);
    options.init.as_mut().unwrap().reseed = vec![wfaas_build::ReseedRange { at, bytes }];
    build(module.as_bytes(), &spec(), &options, &())
}

#[test]
fn pages_are_reseeded_however_they_are_tracked() {
    const BYTES: usize = 16_384;
    // The memory in place 0 is exported second here.
    let swapped = SEEDED.replace(r#" (export "memory") 1)"#, " 1)").replace(
        r#"(export "a" (memory $second))"#,
        r#"(export "a" (memory $second)) (export "memory" (memory $first))"#,
    );
    for bounds in [BoundsStrategy::Guard, BoundsStrategy::GuardUffd] {
        let built = reseeded(&swapped, BYTES as u64, bounds).unwrap();
        for tracking in [Tracking::Pages, Tracking::Granules, Tracking::Discard, Tracking::Auto] {
            let engine = Engine::new(Config { tracking, ..Config::default() }).unwrap();
            let module = Module::from_bytes(&engine, &built.artifact).unwrap();
            let function = Function::new(&engine, &module, spec()).unwrap();
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..4 {
                let answer = handle(&function, "x").unwrap();
                assert_eq!(answer.len(), BYTES);
                seen.extend(answer.chunks(4096).map(|page| page[..16].to_vec()));
            }
            assert_eq!(seen.len(), 4 * BYTES / 4096, "{bounds:?}, {tracking:?}");
        }
    }
}

#[test]
fn a_memory_that_is_not_exported_cannot_be_reseeded() {
    let hidden = SEEDED
        .replace(r#" (export "memory") 1)"#, " 1)")
        .replace(r#"(export "a""#, r#"(export "memory""#)
        .replace("(data (", "(data (memory $second) (");
    let error = reseeded(&hidden, 16, BoundsStrategy::Guard).unwrap_err().to_string();
    assert!(error.contains("0x1000") && error.contains("exports its first memory"), "{error}");
}

#[test]
fn a_program_that_is_run_once_is_reseeded_before_it_is_told() {
    use wfaas_function::run::{Outcome, RunOptions, run};
    let built = reseeded(SEEDED, 16, BoundsStrategy::Guard).unwrap();
    let engine = engine();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    let options = RunOptions { invoke: Some("seed".to_owned()), ..RunOptions::default() };
    let seed = || match run(&engine, &module, &Spec::default(), &options).unwrap() {
        Outcome::Results(values) => format!("{values:?}"),
        Outcome::Exit(code) => panic!("{code}"),
    };
    assert_ne!(seed(), seed());
}

#[test]
fn variables_that_were_not_read_are_not_kept() {
    let env = [("TOKEN".to_owned(), "secret".to_owned())].into_iter().collect();
    let spec = Spec { env, ..spec() };
    for (before, kept) in [("", 0), ("(drop (call $env (i32.const 200) (i32.const 256)))", 1)] {
        let built = built(&program(before, ""), &spec, None).unwrap();
        let checkpoint = Artifact::parse(&built.artifact).unwrap().checkpoint().unwrap().unwrap();
        assert_eq!(checkpoint.variables.len(), kept);
    }
}

/// Device numbers of trees are the same in each run, and times of files are the times of the run.
#[test]
fn files_in_memory_depend_on_the_time_only() {
    use wfaas_build::Uniqueness;
    let spec = Spec { limits: Limits { tmp: Some(ByteSize(1 << 20)), ..spec().limits }, ..spec() };
    // Asks for random bytes, keeps none, and stats a file that it makes: `struct filestat` at 1024.
    let stat = "(if (call $random (i32.const 100) (i32.const 4)) (then unreachable))
        (i32.store (i32.const 100) (i32.const 0))
        (drop (call $open (i32.const 3) (i32.const 544) (i32.const 3) (i32.const 1)))
        (if (call $stat (i32.const 3) (i32.const 0) (i32.const 544) (i32.const 3) (i32.const 1024))
            (then unreachable))
        (if (i64.eqz (i64.load (i32.const 1024))) (then unreachable))";
    let forget_times = "(memory.fill (i32.const 1064) (i32.const 0) (i32.const 24))";
    let notes = |before: &str| {
        let mut options = options(None);
        options.init.as_mut().unwrap().uniqueness = Uniqueness::Report;
        build(program(before, "").as_bytes(), &spec, &options, &()).unwrap().report.notes
    };
    assert_eq!(notes(&(stat.to_owned() + forget_times)), [""; 0]);
    let notes = notes(stat);
    assert!(!notes.is_empty());
    let of_time = |note: &String| note.starts_with("the same in all instances, from the time: ");
    assert!(notes.iter().all(of_time), "{notes:?}");
}

#[test]
fn a_program_that_cannot_be_run_again_is_only_refused_if_it_has_to_be_unique() {
    use wfaas_build::Uniqueness;
    let folder = tempfile::tempdir().unwrap();
    let spec = host_dir(folder.path(), AtInit::Write);
    let time = "(drop (call $time (i32.const 1) (i64.const 0) (i32.const 200)))";
    let with = |uniqueness| {
        let mut options = options(None);
        options.init.as_mut().unwrap().uniqueness = uniqueness;
        build(program(time, "").as_bytes(), &spec, &options, &())
    };
    let notes = with(Uniqueness::Report).unwrap().report.notes;
    assert!(notes[0].starts_with("memory could not be compared: "), "{notes:?}");
    let error = with(Uniqueness::Strict).unwrap_err();
    assert!(matches!(&error, BuildError::Init(InitError::OnceOnly)), "{error}");
}
