//! Programs that wait in an import: what they return if they go on from an image, beside what they
//! return if they were never interrupted.

mod common;
use common::engine;
use wfaas_abi::artifact::{relocate_references, replace_image};
use wfaas_compiler::{
    CompileError, Continuation, Options, WaitSite, compile, compile_continued, compile_recorded,
};
use wfaas_vm::{Artifact, BoxError, Caller, Error, Faaslet, Linker, Module, Pool, Snapshot, Store};

/// The error that ends the call of a program that waits.
#[derive(Debug, thiserror::Error)]
#[error("the program waits")]
struct Waits;

/// Calls of the import so far, and the one at which the program waits.
#[derive(Clone, Copy, Default)]
struct Calls {
    made: usize,
    wait_at: Option<usize>,
}

/// A host function that answers by the number of the call, from 0, and its argument.
fn linker(engine: &wfaas_vm::Engine) -> Linker<Calls> {
    let mut linker = Linker::new(engine);
    let wait = |mut caller: Caller<'_, Calls>, argument: i32| -> Result<i32, BoxError> {
        let calls = caller.data_mut();
        if calls.wait_at == Some(calls.made) {
            return Err(Waits.into());
        }
        calls.made += 1;
        Ok(argument.wrapping_mul(31).wrapping_add(calls.made as i32 * 7))
    };
    linker.func_wrap("host", "wait", wait);
    linker
}

/// What `run` returns, after so many calls were made.
fn run(artifact: &[u8], made: usize) -> i64 {
    let engine = engine();
    let module = Module::from_bytes(&engine, artifact).unwrap();
    let mut store = Store::new(&engine, Calls { made, wait_at: None });
    let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), i64>(&mut store, "run").unwrap();
    run.call(&mut store, ()).unwrap()
}

/// The artifact that goes on where the program makes call number `wait_at`.
fn continued(wat: &str, wait_at: usize, options: &Options<'_>) -> Result<Vec<u8>, CompileError> {
    continued_again(wat, wait_at, options, None)
}

/// The same, to be captured again at these places.
fn continued_again(
    wat: &str,
    wait_at: usize,
    options: &Options<'_>,
    again: Option<Vec<WaitSite>>,
) -> Result<Vec<u8>, CompileError> {
    let (recorded, areas) = compile_recorded(wat.as_bytes(), options).unwrap();
    let engine = engine();
    let module = Module::from_bytes(&engine, &recorded.artifact).unwrap();
    let mut store = Store::new(&engine, Calls { made: 0, wait_at: Some(wait_at) });
    let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
    store.record_frames(areas);
    let run = instance.get_typed_func::<(), i64>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert!(error.downcast_ref::<Waits>().is_some(), "{error}");
    let frames = store.take_frames().unwrap();
    let mut capture = instance.capture(&mut store).unwrap();
    let from = Artifact::parse(&recorded.artifact).unwrap();
    let text_offsets = from.functions().iter().map(|record| record.text_offset.get()).collect();
    let continuation = Continuation { export: "run".to_owned(), frames, text_offsets, again };
    let continued = compile_continued(wat.as_bytes(), options, &continuation)?;
    let to = Artifact::parse(&continued.artifact).unwrap();
    relocate_references(&mut capture.image, &from, &to).unwrap();
    Ok(replace_image(&to, &capture.image, &capture.memory_pages).unwrap())
}

/// Compares the program, continued at each of its first calls, with the uninterrupted one.
fn check(wat: &str, calls: usize) -> i64 {
    let whole = run(&compile(wat.as_bytes(), &Options::default()).unwrap().artifact, 0);
    for wait_at in 0..calls {
        let artifact = continued(wat, wait_at, &Options::default()).unwrap();
        for _ in 0..2 {
            assert_eq!(run(&artifact, wait_at), whole, "continued at call {wait_at}");
        }
        let options = Options { effort: Some(wfaas_compiler::Effort::Frame), ..Options::default() };
        let artifact = continued(wat, wait_at, &options).unwrap();
        assert_eq!(run(&artifact, wait_at), whole, "continued at call {wait_at}, in the frame");
    }
    whole
}

#[test]
fn locals_operands_and_memory_are_kept() {
    let whole = check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (memory 1)
            (global $count (mut i32) (i32.const 5))
            (func $inner (param i32) (result i32) (local f64)
                (local.set 1 (f64.const 1.5))
                (global.set $count (i32.add (global.get $count) (i32.const 1)))
                (i32.add (local.get 0) (call $wait (i32.mul (local.get 0) (i32.const 2))))
                (i32.trunc_f64_s (f64.mul (local.get 1) (f64.const 2)))
                i32.add)
            (func (export "run") (result i64) (local i64)
                (local.set 0 (i64.const 1000))
                (i32.store (i32.const 8) (i32.const 77))
                (i64.add (local.get 0) (i64.extend_i32_s (call $inner (i32.const 4))))
                (i64.extend_i32_s (i32.mul (i32.load (i32.const 8)) (global.get $count)))
                i64.add))"#,
        1,
    );
    // 1000 + (4 + (8 * 31 + 7) + 3) + 77 * 6
    assert_eq!(whole, 1724);
}

#[test]
fn recursion_at_one_site_and_at_others() {
    check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (func $down (param i32) (result i32)
                (if (result i32) (i32.eqz (local.get 0))
                    (then (call $wait (i32.const 3)))
                    (else
                        (if (result i32) (i32.and (local.get 0) (i32.const 4))
                            (then (i32.add (local.get 0)
                                (call $down (i32.sub (local.get 0) (i32.const 1)))))
                            (else (i32.xor (local.get 0)
                                (call $down (i32.sub (local.get 0) (i32.const 1)))))))))
            (func (export "run") (result i64)
                (i64.extend_i32_s (i32.add (call $down (i32.const 13)) (call $down (i32.const 6))))))"#,
        2,
    );
}

#[test]
fn loops_are_entered_in_the_middle() {
    check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (func (export "run") (result i64) (local i32 i32 i64)
                (loop $outer
                    (local.set 1 (i32.const 0))
                    (loop $inner
                        (local.set 2 (i64.add (i64.mul (local.get 2) (i64.const 3))
                            (i64.extend_i32_s (call $wait (i32.add (local.get 0) (local.get 1))))))
                        (local.set 1 (i32.add (local.get 1) (i32.const 1)))
                        (br_if $inner (i32.lt_u (local.get 1) (i32.const 3))))
                    (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                    (br_if $outer (i32.lt_u (local.get 0) (i32.const 3))))
                local.get 2))"#,
        9,
    );
}

#[test]
fn operands_of_enclosing_blocks_are_kept_where_arms_meet() {
    check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (func $f (param i32) (result i32)
                (i32.const 100)
                (i32.mul (local.get 0) (i32.const 7))
                (block (param i32) (result i32)
                    (if (param i32) (result i32) (local.get 0)
                        (then (i32.add (call $wait (i32.const 1))))
                        (else (i32.sub (call $wait (i32.const 2)))))
                    (br_if 0 (i32.gt_s (local.get 0) (i32.const 1)))
                    (i32.add (i32.const 5)))
                i32.mul)
            (func (export "run") (result i64)
                (i64.extend_i32_s (i32.add (i32.add
                    (call $f (i32.const 0)) (call $f (i32.const 1))) (call $f (i32.const 2))))))"#,
        3,
    );
}

#[test]
fn calls_through_tables_and_references_in_frames() {
    check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (type $t (func (param i32) (result i32)))
            (table 4 funcref)
            (elem (i32.const 0) $wait $double $deep)
            (elem declare func $double)
            (global $g (mut funcref) (ref.func $deep))
            (func $double (type $t) (i32.mul (local.get 0) (i32.const 2)))
            (func $deep (type $t) (local funcref)
                (local.set 1 (ref.func $double))
                (i32.add (call_indirect (type $t) (local.get 0) (i32.const 0)) (i32.const 1))
                (table.set 0 (i32.const 3) (local.get 1))
                (call_indirect (type $t) (i32.const 3)))
            (func (export "run") (result i64)
                (table.set 0 (i32.const 2) (global.get $g))
                (i64.extend_i32_s (i32.add
                    (call_indirect (type $t) (i32.const 9) (i32.const 2))
                    (call_indirect (type $t) (i32.const 5) (i32.const 1))))))"#,
        1,
    );
}

#[test]
fn tail_calls_leave_no_frame() {
    check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (type $t (func (param i32) (result i32)))
            (table 1 funcref)
            (elem (i32.const 0) $wait)
            (func $wrapper (param i64 i32) (result i32)
                (return_call $wait (i32.add (local.get 1) (i32.wrap_i64 (local.get 0)))))
            (func $other (param i32) (result i32)
                (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
            (func $twice (param i32) (result i32) (return_call $wrapper (i64.const 3) (local.get 0)))
            (func (export "run") (result i64)
                (i64.extend_i32_s (i32.add (call $twice (i32.const 9)) (call $other (i32.const 2))))))"#,
        2,
    );
}

#[test]
fn vectors_and_several_results() {
    check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (func $three (param i32) (result i32 v128 f32) (local v128 i32)
                (local.set 1 (i32x4.splat (i32.const 11)))
                (local.set 2 (call $wait (local.get 0)))
                (local.get 2) (i32x4.add (local.get 1) (i32x4.splat (local.get 2))) (f32.const 2.5))
            (func (export "run") (result i64) (local i32 v128 f32 v128)
                (local.set 3 (i64x2.splat (i64.const 6)))
                (local.get 3)
                (call $three (i32.const 20))
                (local.set 2) (local.set 1) (local.set 0)
                (local.set 3 (i64x2.add (local.get 1)))
                (i64.add (i64x2.extract_lane 1 (local.get 3))
                    (i64.extend_i32_s (i32.add (local.get 0) (i32.trunc_f32_s (local.get 2)))))))"#,
        1,
    );
}

#[test]
fn exceptions_are_caught_around_a_site() {
    check(
        r#"(module
            (import "host" "wait" (func $wait (param i32) (result i32)))
            (tag $e (param i32))
            (func $throws (param i32) (result i32)
                (if (i32.and (call $wait (local.get 0)) (i32.const 1))
                    (then (throw $e (i32.const 40))))
                (i32.const 2))
            (func $catches (param i32) (result i32) (local i32)
                (local.set 1 (i32.const 1000))
                (i32.const 500)
                (block $caught (result i32)
                    (try_table (result i32) (catch $e $caught)
                        (call $throws (local.get 0))))
                i32.add
                (i32.add (local.get 1)))
            (func (export "run") (result i64)
                (i64.extend_i32_s (i32.add (call $catches (i32.const 1)) (call $catches (i32.const 2))))))"#,
        2,
    );
}

#[test]
fn what_is_in_no_image_is_refused_by_name() {
    let legacy = r#"(module
        (import "host" "wait" (func $wait (param i32) (result i32)))
        (tag $e)
        (func (export "run") (result i64)
            try (result i64)
                (throw $e)
            catch $e
                (i64.extend_i32_s (call $wait (i32.const 1)))
            end))"#;
    let error = continued(legacy, 0, &Options::default()).unwrap_err();
    let CompileError::NotContinuable { function: 1, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("legacy"), "{reason}");
    let exception = r#"(module
        (import "host" "wait" (func $wait (param i32) (result i32)))
        (tag $e)
        (func (export "run") (result i64) (local exnref)
            (block $l (result exnref)
                (try_table (catch_all_ref $l) (throw $e)) unreachable)
            (local.set 0)
            (i64.extend_i32_s (call $wait (i32.const 1)))
            (drop (ref.is_null (local.get 0)))))"#;
    let error = continued(exception, 0, &Options::default()).unwrap_err();
    let CompileError::NotContinuable { function: 1, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("exception"), "{reason}");
}

/// The backtrace of the trap that a program of which so many calls were made ends with.
fn backtrace(artifact: &[u8], made: usize) -> String {
    let engine = engine();
    let module = Module::from_bytes(&engine, artifact).unwrap();
    let mut store = Store::new(&engine, Calls { made, wait_at: None });
    let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), i64>(&mut store, "run").unwrap();
    run.call(&mut store, ()).unwrap_err().to_string()
}

#[test]
fn backtraces_have_the_functions_that_were_under_way() {
    let text = r#"(module
        (import "host" "wait" (func $wait (param i32) (result i32)))
        (func $deep (param i32) (result i32)
            (drop (call $wait (local.get 0)))
            (call $fails))
        (func $fails (result i32) unreachable)
        (func $middle (result i32) (i32.add (call $deep (i32.const 2)) (i32.const 1)))
        (func (export "run") (result i64) (i64.extend_i32_s (call $middle))))"#;
    let whole = backtrace(&compile(text.as_bytes(), &Options::default()).unwrap().artifact, 0);
    let names = ["fails", "deep", "middle", "run"].map(|name| whole.find(name).expect(name));
    assert!(names.is_sorted(), "{whole}");
    let artifact = continued(text, 0, &Options::default()).unwrap();
    assert_eq!(backtrace(&artifact, 0), whole);
}

/// Frames are data of whoever captured them: code that would take them for something else is not made.
#[test]
fn frames_that_do_not_fit_are_refused() {
    let text = r#"(module
        (import "host" "wait" (func $wait (param i32) (result i32)))
        (func $f (result i64) (i64.extend_i32_s (call $wait (i32.const 1))))
        (func (export "run") (result i64) (call $f)))"#;
    let frame = |function, site, bytes| wfaas_abi::continuation::SavedFrame {
        function,
        site,
        locals: vec![0; bytes],
        operands: Vec::new(),
    };
    let wasm = wat::parse_str(text).unwrap();
    let call = |nth: usize| {
        let mut calls = (0..wasm.len()).filter(|at| wasm[*at..].starts_with(&[0x10, nth as u8]));
        calls.next_back().unwrap() as u32
    };
    let (in_f, in_run) = (call(0), call(1));
    let attempt = |frames| {
        let text_offsets = vec![0, 32, 64];
        let continuation =
            Continuation { export: "run".to_owned(), frames, text_offsets, again: None };
        compile_continued(&wasm, &Options::default(), &continuation).map(drop)
    };
    attempt(vec![frame(2, in_run, 0), frame(1, in_f, 0), frame(0, 0, 8)]).unwrap();
    for frames in [
        vec![],
        vec![frame(0, 0, 8)],
        vec![frame(1, in_f, 0), frame(2, in_run, 0), frame(0, 0, 8)],
        vec![frame(2, in_run, 0), frame(0, 0, 8)],
        vec![frame(2, in_run, 0), frame(1, in_f, 0), frame(1, 0, 8)],
        vec![frame(2, in_run, 0), frame(1, in_f, 0), frame(0, 0, 0)],
        vec![frame(2, in_f, 0), frame(1, in_f, 0), frame(0, 0, 8)],
        vec![frame(9, in_run, 0), frame(1, in_f, 0), frame(0, 0, 8)],
        vec![frame(2, in_run, 0), frame(1, in_f + 1, 0), frame(0, 0, 8)],
    ] {
        let shown = format!("{frames:?}");
        assert!(attempt(frames).is_err(), "{shown}");
    }
}

#[test]
fn frames_of_nobody_are_none() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    store.record_frames(Vec::new());
    let Err(Error::Capture(reason)) = store.take_frames() else { panic!("there are frames") };
    assert!(reason.contains("no call"), "{reason}");
}

/// Adds up the answers of its calls, in a loop; each call after the fourth is at another place.
const LOOP: &str = r#"(module
    (import "host" "wait" (func $wait (param i32) (result i32)))
    (func $step (export "step") (param i32) (result i32)
        (i32.add (local.get 0) (call $wait (local.get 0))))
    (func (export "other"))
    (func (export "run") (result i64) (local $sum i64) (local $round i32)
        (loop $next
            (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 3))
                (i64.extend_i32_s (call $step (local.get $round)))))
            (br_if $next (i32.lt_u
                (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 4))))
        (i64.add (local.get $sum) (i64.extend_i32_s (call $step (local.get $round))))))"#;

/// Runs a faaslet to call number `wait_at`; its snapshot there.
fn wait_again(faaslet: &mut Faaslet<'_, Calls>, wait_at: usize) -> Result<Snapshot, Error> {
    let instance = faaslet.instance();
    faaslet.store().data_mut().wait_at = Some(wait_at);
    faaslet.store().record_again();
    let run = instance.get_typed_func::<(), i64>(faaslet.store(), "run").unwrap();
    let error = run.call(faaslet.store(), ()).unwrap_err();
    assert!(error.downcast_ref::<Waits>().is_some(), "{error}");
    instance.snapshot(faaslet.store(), usize::MAX)
}

fn finish(mut faaslet: Faaslet<'_, Calls>) -> i64 {
    let run = faaslet.instance().get_typed_func::<(), i64>(faaslet.store(), "run").unwrap();
    run.call(faaslet.store(), ()).unwrap()
}

#[test]
fn a_program_is_captured_whenever_it_waits_again() {
    let whole = run(&compile(LOOP.as_bytes(), &Options::default()).unwrap().artifact, 0);
    let artifact = continued_again(LOOP, 0, &Options::default(), Some(Vec::new())).unwrap();
    let engine = engine();
    let module = Module::from_bytes(&engine, &artifact).unwrap();
    let pool = Pool::new(&linker(&engine), &module).unwrap();
    let calls = |made| Calls { made, wait_at: None };
    let second = wait_again(&mut pool.acquire(calls(0)).unwrap(), 2).unwrap();
    let third = wait_again(&mut pool.acquire_from(&second, calls(2)).unwrap(), 3).unwrap();
    for _ in 0..2 {
        assert_eq!(finish(pool.acquire_from(&third, calls(3)).unwrap()), whole);
        assert_eq!(finish(pool.acquire_from(&second, calls(2)).unwrap()), whole);
        // One that is reset begins where the artifact does.
        assert_eq!(finish(pool.acquire(calls(0)).unwrap()), whole);
    }
    let mut parent = pool.acquire_from(&third, calls(3)).unwrap();
    assert_eq!(finish(parent.fork().unwrap()), whole, "a fork goes on from the same frames");
    assert_eq!(finish(parent), whole);
    assert!(second.bytes() > second.pages() * 4096, "frames count");
    let layer = Pool::from_snapshot(&linker(&engine), &second).unwrap();
    for _ in 0..2 {
        assert_eq!(finish(layer.acquire(calls(2)).unwrap()), whole, "a pool goes on from there");
    }
    let third = wait_again(&mut layer.acquire(calls(2)).unwrap(), 3).unwrap();
    assert_eq!(finish(layer.acquire_from(&third, calls(3)).unwrap()), whole);
    // Forks go on from where the parent waits, not from where it began; a call that returns leaves no frames.
    let mut waits = pool.acquire_from(&second, calls(2)).unwrap();
    wait_again(&mut waits, 3).unwrap();
    *waits.store().data_mut() = calls(3);
    assert_eq!(finish(waits.fork().unwrap()), whole);
    let mut unrecorded = pool.acquire_from(&second, calls(2)).unwrap();
    unrecorded.store().data_mut().wait_at = Some(3);
    let run = unrecorded.instance().get_typed_func::<(), i64>(unrecorded.store(), "run").unwrap();
    run.call(unrecorded.store(), ()).unwrap_err();
    assert!(unrecorded.fork().is_err(), "its frames were not recorded");
    let instance = unrecorded.instance();
    assert!(instance.snapshot(unrecorded.store(), usize::MAX).is_err());
    let mut twice = pool.acquire(calls(0)).unwrap();
    wait_again(&mut twice, 1).unwrap();
    let instance = twice.instance();
    let other = instance.get_typed_func::<(), ()>(twice.store(), "other").unwrap();
    other.call(twice.store(), ()).unwrap();
    assert!(instance.snapshot(twice.store(), usize::MAX).is_err(), "frames of an earlier call");
    let Err(Error::Capture(reason)) = second.to_capture() else { panic!("it has an image") };
    assert!(reason.contains("frames"), "{reason}");
}

#[test]
fn a_program_that_waits_elsewhere_or_ends_is_not_captured() {
    let artifact = continued_again(LOOP, 0, &Options::default(), Some(Vec::new())).unwrap();
    let engine = engine();
    let module = Module::from_bytes(&engine, &artifact).unwrap();
    let pool = Pool::new(&linker(&engine), &module).unwrap();
    let mut elsewhere = pool.acquire(Calls::default()).unwrap();
    let Err(Error::Capture(reason)) = wait_again(&mut elsewhere, 4) else { panic!("captured") };
    assert!(reason.contains("another call"), "{reason}");
    let mut ended = pool.acquire(Calls::default()).unwrap();
    ended.store().record_again();
    let instance = ended.instance();
    let run = instance.get_typed_func::<(), i64>(ended.store(), "run").unwrap();
    run.call(ended.store(), ()).unwrap();
    let Err(Error::Capture(reason)) = instance.snapshot(ended.store(), usize::MAX) else {
        panic!("captured")
    };
    assert!(reason.contains("no call"), "{reason}");
    // A function with other results: what goes on would return them.
    let mut another = pool.acquire(Calls { made: 0, wait_at: Some(0) }).unwrap();
    another.store().record_again();
    let instance = another.instance();
    let step = instance.get_typed_func::<i32, i32>(another.store(), "step").unwrap();
    step.call(another.store(), 1).unwrap_err();
    let Err(Error::Capture(reason)) = instance.snapshot(another.store(), usize::MAX) else {
        panic!("captured")
    };
    assert!(reason.contains("another function"), "{reason}");
    let mut bounded = pool.acquire(Calls::default()).unwrap();
    wait_again(&mut bounded, 1).unwrap();
    let instance = bounded.instance();
    assert!(instance.snapshot(bounded.store(), 16).is_err(), "frames are more than 16 bytes");
}

#[test]
fn references_are_not_kept_when_it_waits_again() {
    let text = r#"(module
        (import "host" "wait" (func $wait (param i32) (result i32)))
        (func (export "run") (result i64) (local externref)
            (i64.extend_i32_s (call $wait (i32.const 1)))
            (drop (ref.is_null (local.get 0)))))"#;
    continued(text, 0, &Options::default()).unwrap();
    let error = continued_again(text, 0, &Options::default(), Some(Vec::new())).unwrap_err();
    assert!(matches!(error, CompileError::NotContinuable { function: 1, .. }), "{error}");
}
