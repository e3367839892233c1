//! The harness itself: a wrong script must fail, on both routes.

use wfaas_compiler::Proposals;
use wfaas_spec_tests::{Route, run_script};

const ROUTES: [Route; 2] = [Route::Direct, Route::Snapshot];

/// Line and route are right where directives do not do what they must.
#[test]
fn wrong_directives_fail() {
    let script = r#"(module (memory 1) (data (i32.const 8) "\2a")
          (func (export "load") (result i32) (i32.load (i32.const 8)))
          (func (export "null") (result funcref) (ref.null func)))
        (assert_return (invoke "load") (i32.const 42))
        (assert_return (invoke "load") (i32.const 43))
        (assert_return (invoke "load") (i64.const 42))
        (assert_trap (invoke "load") "unreachable")
        (assert_exception (invoke "load"))
        (assert_return (invoke "null") (ref.null func))
        (assert_return (invoke "null") (ref.null extern))
        (assert_invalid (module (func)) "it is valid")"#;
    for route in ROUTES {
        let report = run_script(script, Proposals::ALL, route);
        let lines: Vec<_> = report.failed.iter().map(|failure| failure.line).collect();
        assert_eq!(lines, [5, 6, 7, 8, 10, 11], "{route:?}: {:?}", report.failed);
        assert_eq!(report.passed, 3, "{route:?}");
    }
}

/// Only instances that refer to nothing outside of them are replaced; the start function of one
/// that is does not run again.
#[test]
fn instances_are_restored_where_they_can_be() {
    let script = r#"(module
          (global $started (mut i32) (i32.const 0))
          (func $start (global.set $started (i32.add (global.get $started) (i32.const 1))))
          (start $start)
          (func (export "started") (result i32) (global.get $started)))
        (assert_return (invoke "started") (i32.const 1))
        (module (memory (import "spectest" "memory") 1))"#;
    for (route, restored) in [(Route::Direct, (0, 0)), (Route::Snapshot, (1, 1))] {
        let report = run_script(script, Proposals::ALL, route);
        assert_eq!(report.failed, [], "{route:?}");
        assert_eq!((report.restored, report.not_captured), restored, "{route:?}");
    }
}

#[test]
fn a_script_that_does_not_parse_fails() {
    assert_eq!(run_script("(modul)", Proposals::ALL, Route::Direct).failed.len(), 1);
}
