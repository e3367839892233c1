//! Functions that the compiler keeps in their frames, since they have too many values: operands and
//! locals are the same as if they were values, whichever way control takes.

mod common;
use std::fmt::Write;
use wfaas_compiler::{Effort, Options};
use wfaas_vm::{Linker, Store};

/// Operands or locals of each function.
const MANY: usize = 400;

/// Runs `f` of a module with these fields, in the way that fits and in all others.
fn check(fields: &str, arguments: &[i64], expected: impl Fn(i64) -> i64) {
    let ways = [None].into_iter().chain(Effort::ALL.map(Some));
    for effort in ways {
        let engine = common::engine();
        let options = Options { effort, ..Options::default() };
        let module = common::module_with(&engine, &format!("(module {fields})"), &options);
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let f = instance.get_typed_func::<i64, i64>(&mut store, "f").unwrap();
        for argument in arguments {
            let result = f.call(&mut store, *argument).unwrap();
            assert_eq!(result, expected(*argument), "{argument}, {effort:?}");
        }
    }
}

fn function(locals: usize, body: &str) -> String {
    format!(
        "(tag $t (param i64)) (func (export \"f\") (param i64) (result i64)
            (local $sum i64) (local {}) {body})",
        "i64 ".repeat(locals)
    )
}

/// The sum of the argument added to each number below [`MANY`].
fn sum(argument: i64) -> i64 {
    let many = MANY as i64;
    argument * many + many * (many - 1) / 2
}

#[test]
fn operands_stay_below_blocks_of_every_kind() {
    for over in [
        "(if (i64.eqz (local.get 0)) (then (local.set $sum (i64.const 0))) (else (nop)))",
        "(block (br_if 0 (i64.eqz (local.get 0))) (nop))",
        "(loop (br_if 0 (i32.const 0)))",
        "(block (block (br_table 0 1 0 (i32.wrap_i64 (local.get 0)))))",
        "(drop (block (result i64) (try_table (catch $t 0) (throw $t (i64.const 1))) (unreachable)))",
        "(local.set $sum (i64.div_s (i64.const 0) (i64.const 3)))",
    ] {
        let mut body = String::new();
        for number in 0..MANY {
            write!(body, "(i64.add (local.get 0) (i64.const {number})) {over}").unwrap();
        }
        body.push_str(&"i64.add ".repeat(MANY - 1));
        check(&function(0, &body), &[0, 1, 7], sum);
    }
}

#[test]
fn operands_pass_through_blocks_with_parameters_and_results() {
    let mut body = String::from("(i64.const 0)");
    for number in 0..MANY {
        let add = format!("(i64.add (i64.const {number}))");
        write!(
            body,
            "(if (param i64) (result i64) (i64.eqz (local.get 0)) (then {add})
                (else (i64.add (local.get 0)) {add}))"
        )
        .unwrap();
    }
    check(&function(0, &body), &[0, 1, 7], sum);
}

#[test]
fn locals_that_some_ways_set_have_the_values_of_the_way_taken() {
    let (mut sets, mut sums) = (String::new(), String::new());
    for local in 0..MANY {
        let value = format!("(i64.add (local.get 0) (i64.const {local}))");
        let set = format!("(local.set {} {value})", local + 2);
        write!(sets, "(if (i64.eqz (local.get 0)) (then {set}) (else (nop) {set}))").unwrap();
        write!(sums, "(local.set $sum (i64.add (local.get $sum) (local.get {})))", local + 2)
            .unwrap();
    }
    check(&function(MANY, &format!("{sets}{sums}(local.get $sum)")), &[0, 1, 7], sum);
}

#[test]
fn an_exception_finds_the_locals_of_its_moment() {
    let (mut sets, mut sums) = (String::new(), String::new());
    for local in 0..MANY {
        let throw = format!("(i64.eq (local.get 0) (i64.const {local}))");
        write!(
            sets,
            "(if {throw} (then (throw $t (i64.const 0)))) (local.set {} (i64.const 1))",
            local + 2
        )
        .unwrap();
        write!(sums, "(local.set $sum (i64.add (local.get $sum) (local.get {})))", local + 2)
            .unwrap();
    }
    let body = format!(
        "(drop (block (result i64) (try_table (catch $t 0) {sets}) (i64.const 0)))
        {sums} (local.get $sum)"
    );
    let most = MANY as i64;
    check(&function(MANY, &body), &[0, 1, 77, most - 1, most], |argument| argument.min(most));
}
