//! Which loops are made two rounds long.

use wfaas_compiler::{Options, Passes, assembly};

/// How often `instruction` is in the first function.
fn count(wat: &str, instruction: &str, passes: Passes) -> usize {
    let code = assembly(wat.as_bytes(), 0, &Options { passes, ..Options::default() }).unwrap();
    code.lines().filter(|line| line.trim_start().starts_with(instruction)).count()
}

fn summing(what: &str) -> String {
    format!(
        "(module (memory 1) (func (param $i i32) (param $sum f64) (result f64)
            (loop $l {what}
                (local.set $sum (f64.add (local.get $sum) (f64.load (local.get $i))))
                (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 8)))))
            (local.get $sum)) (func $g))"
    )
}

#[test]
fn small_loops_of_one_block_have_two_rounds() {
    let small = summing("");
    assert_eq!(count(&small, "vaddsd", Passes::ALL), 2);
    assert_eq!(count(&small, "vaddsd", Passes::ALL.without("unroll").unwrap()), 1);
    // Both rounds share one counter, and each has its way out.
    assert_eq!(count(&small, "j", Passes::ALL), 2 + count(&small, "jmp", Passes::ALL));
}

#[test]
fn larger_loops_have_two_rounds_inside_of_others() {
    let by_itself = summing(&"(i32.store (i32.const 0) (local.get $i))".repeat(12));
    assert_eq!(count(&by_itself, "vaddsd", Passes::ALL), 1);
    let inside = by_itself
        .replace("(loop $l", "(loop $outer (local.set $i (i32.const 80)) (loop $l")
        .replace("8)))))", "8))))) (br_if $outer (f64.lt (local.get $sum) (f64.const 1))))");
    assert_eq!(count(&inside, "vaddsd", Passes::ALL), 2);
}

#[test]
fn others_stay_as_they_are() {
    let with_call = summing("(call $g)");
    let without_inlining = Passes::ALL.without("inline").unwrap();
    assert_eq!(count(&with_call, "vaddsd", without_inlining), 1);
    let with_branch =
        summing("(if (local.get $i) (then (f64.store (i32.const 0) (local.get $sum))))");
    assert_eq!(count(&with_branch, "vaddsd", Passes::ALL), 1);
    let large = summing(&"(i32.store (i32.const 0) (local.get $i))".repeat(40));
    assert_eq!(count(&large, "vaddsd", Passes::ALL), 1);
}
