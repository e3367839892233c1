//! What each proof elides, and what looks like it and must stay.

use wfaas_abi::{BoundsStats, BoundsStrategy, CheckFate};
use wfaas_compiler::{Options, Passes, Proofs, clif, compile};

/// A function with parameters and a local, in a module with a memory of one page.
fn module(memory: &str, body: &str) -> String {
    format!(
        "(module {memory} (func $callee)
           (func (param $i i32) (param $n i32) (param $k i64) (local $j i32) {body}))"
    )
}

fn stats(wat: &str, options: &Options<'_>) -> BoundsStats {
    compile(wat.as_bytes(), options).unwrap_or_else(|error| panic!("{error}: {wat}")).bounds
}

fn trap() -> Options<'static> {
    Options { bounds: BoundsStrategy::Trap, ..Options::default() }
}

/// What becomes of the accesses of a body under `trap`, in the order of the fates.
fn fates(body: &str) -> Vec<(CheckFate, u64)> {
    let stats = stats(&module("(memory 1)", body), &trap());
    stats.iter().filter(|(_, count)| *count > 0).collect()
}

/// The pass `name` elides the last access of `body` as `fate`, and without it the access keeps its
/// check.
#[track_caller]
fn elides(name: &str, fate: CheckFate, body: &str) {
    let wat = module("(memory 1)", body);
    let with = stats(&wat, &trap());
    assert_eq!(with.count(fate), 1, "{with:?}: {body}");
    let without = Options { elide: Proofs::ALL.without(name).unwrap(), ..trap() };
    assert_eq!(stats(&wat, &without).count(fate), 0, "{body}");
}

#[track_caller]
fn keeps(checks: u64, body: &str) {
    assert_eq!(fates(body), [(CheckFate::Checked, checks)], "{body}");
}

#[test]
fn constants() {
    let fate = CheckFate::Constant;
    elides("constants", fate, "(drop (i32.load offset=65532 (i32.const 0)))");
    elides("constants", fate, "(i64.store8 offset=1 (i32.const 65534) (i64.const 0))");
    keeps(1, "(drop (i32.load offset=65533 (i32.const 0)))");
    keeps(1, "(drop (i32.load8_u (i32.const -1)))");
}

#[test]
fn ranges() {
    let elides = |body| elides("ranges", CheckFate::Range, body);
    elides("(drop (i32.load8_u offset=65280 (i32.and (local.get $i) (i32.const 255))))");
    elides("(drop (i32.load (i32.shl (i32.and (local.get $i) (i32.const 16383)) (i32.const 2))))");
    elides("(drop (i32.load8_u (i32.shr_u (local.get $i) (i32.const 16))))");
    elides("(drop (i32.load8_u (i32.rem_u (local.get $i) (i32.const 65536))))");
    elides("(drop (i32.load8_u (i32.add (i32.eqz (local.get $i)) (i32.const 65534))))");
    keeps(1, "(drop (i32.load8_u offset=65281 (i32.and (local.get $i) (i32.const 255))))");
    // Zero minus one is a large number.
    keeps(
        1,
        "(drop (i32.load8_u (i32.sub (i32.and (local.get $i) (i32.const 255)) (i32.const 1))))",
    );
    // A count is taken modulo 32.
    keeps(1, "(drop (i32.load8_u (i32.shr_u (local.get $i) (i32.const 32))))");
    keeps(1, "(drop (i32.load8_u (i32.shr_s (local.get $i) (i32.const 16))))");
}

#[test]
fn comparisons() {
    let elides = |body| elides("comparisons", CheckFate::Comparison, body);
    elides(
        "(if (i32.lt_u (local.get $i) (i32.const 65536)) (then (drop (i32.load8_u (local.get $i)))))",
    );
    elides(
        "(block (br_if 0 (i32.gt_u (local.get $i) (i32.const 100)))
              (drop (i32.load (local.get $i))))",
    );
    elides("(if (i32.and (i32.ge_s (local.get $i) (i32.const 0)) (i32.lt_s (local.get $i) (i32.const 9)))
              (then (drop (i32.load (local.get $i)))))");
    elides(
        "(if (i32.eqz (i32.lt_u (i32.const 65532) (local.get $i)))
              (then (drop (i32.load (local.get $i)))))",
    );
    // Negative numbers are large.
    keeps(
        1,
        "(if (i32.lt_s (local.get $i) (i32.const 100)) (then (drop (i32.load (local.get $i)))))",
    );
    keeps(
        1,
        "(if (i32.lt_u (local.get $i) (i32.const 100))
                (then) (else (drop (i32.load (local.get $i)))))",
    );
    keeps(
        1,
        "(if (i32.lt_u (local.get $i) (i32.const 100)) (then))
              (drop (i32.load (local.get $i)))",
    );
    keeps(
        1,
        "(if (i32.lt_u (local.get $i) (i32.const 65537)) (then (drop (i32.load8_u (local.get $i)))))",
    );
    // Another value of the same local.
    keeps(
        1,
        "(if (i32.lt_u (local.get $i) (i32.const 100))
                (then (local.set $i (i32.mul (local.get $i) (local.get $i)))
                      (local.set $i (i32.mul (local.get $i) (local.get $i)))
                      (drop (i32.load (local.get $i)))))",
    );
}

/// A comparison of a sum is about numbers that are a constant away from it.
#[test]
fn comparisons_of_sums() {
    let load = |constant: u32| {
        format!(
            "(if (i32.le_u (i32.add (local.get $i) (i32.const 4)) (i32.const 16384))
               (then (drop (i32.load8_u (i32.add (local.get $i) (i32.const {constant}))))))"
        )
    };
    let elides = |constant| elides("comparisons", CheckFate::Comparison, &load(constant));
    elides(5);
    elides(65535 - 16380);
    keeps(1, &load(65536 - 16380));
    // `$i` may be -4, with which the sum is zero.
    keeps(1, &load(3));
    keeps(1, &load(0));
    // Of another number.
    keeps(1, &load(5).replace("(then (drop", "(then (local.set $i (local.get $n)) (drop"));
}

/// A loop over `$j` from `start`, which is increased by `step`, while `condition` holds of it.
fn counting(start: i32, step: i32, condition: &str) -> String {
    format!(
        "(local.set $j (i32.const {start}))
         (loop $l
           (drop (i32.load8_u (local.get $j)))
           (local.set $j (i32.add (local.get $j) (i32.const {step})))
           (br_if $l ({condition})))"
    )
}

#[test]
fn induction() {
    let elides = |body: String| elides("induction", CheckFate::Induction, &body);
    let keeps = |body: String| keeps(1, &body);
    elides(counting(0, 4, "i32.ne (local.get $j) (i32.const 65536)"));
    elides(counting(0, 4, "i32.lt_u (local.get $j) (i32.const 65536)"));
    elides(counting(8, 4, "i32.lt_s (local.get $j) (i32.const 65536)"));
    elides(counting(65535, -1, "i32.ne (local.get $j) (i32.const 0)"));
    elides(counting(65535, -1, "i32.ge_s (local.get $j) (i32.const 0)"));
    elides(
        "(loop $l
           (if (i32.lt_u (local.get $j) (i32.const 1000))
             (then
               (drop (i32.load (i32.shl (local.get $j) (i32.const 2))))
               (local.set $j (i32.add (local.get $j) (i32.const 1)))
               (br $l))))"
            .replace("i32.lt_u", "i32.ne"),
    );
    // It steps over the end.
    keeps(counting(0, 3, "i32.ne (local.get $j) (i32.const 65536)"));
    keeps(counting(0, 4, "i32.ne (local.get $j) (i32.const 65540)"));
    keeps(counting(65536, 1, "i32.lt_u (local.get $j) (i32.const 65536)"));
    // It wraps around before it is compared.
    keeps(counting(0, i32::MAX, "i32.lt_s (local.get $j) (i32.const 65536)"));
    keeps(counting(-8, 4, "i32.lt_s (local.get $j) (i32.const 65536)"));
    keeps(counting(0, 1, "i32.gt_u (local.get $j) (i32.const 0)"));
    keeps(counting(65535, -2, "i32.ne (local.get $j) (i32.const 0)"));
    keeps(counting(100, -1, "i32.lt_u (local.get $j) (i32.const 65536)"));
    // Compared before it counts on, and no more afterwards.
    keeps(
        "(loop $l
           (drop (i32.load (local.get $j)))
           (if (i32.lt_u (local.get $j) (i32.const 100)) (then))
           (local.set $j (i32.add (local.get $j) (i32.const 1)))
           (br $l))"
            .to_owned(),
    );
}

/// A loop in which `$i` goes from zero by `step`, so often as `$j` takes to get to `limit`.
fn counting_along(step: i32, limit: &str) -> String {
    format!(
        "(local.set $i (i32.const 0))
         (loop $l
           (drop (i32.load (local.get $i)))
           (local.set $i (i32.add (local.get $i) (i32.const {step})))
           (local.set $j (i32.add (local.get $j) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $j) {limit})))"
    )
}

/// Indices that are never compared themselves: how often the loop goes round bounds them.
#[test]
fn scalar_evolution() {
    let elides = |body: String| elides("induction", CheckFate::Induction, &body);
    let keeps = |body: String| keeps(1, &body);
    elides(counting_along(64, "(i32.const 1000)"));
    elides(counting_along(64, "(i32.and (local.get $n) (i32.const 1023))"));
    elides(counting_along(7, "(i32.shr_u (local.get $n) (i32.const 23))"));
    // The last index is at 65536 - 3, so that the access ends behind the memory.
    keeps(counting_along(65533, "(i32.const 2)"));
    elides(counting_along(65532, "(i32.const 2)"));
    keeps(counting_along(64, "(i32.and (local.get $n) (i32.const 2047))"));
    keeps(counting_along(64, "(local.get $n)"));
    keeps(counting_along(-4, "(i32.const 1000)"));
}

/// A loop of two rounds at a time counts down from a number that is rounded down, by a mask without bits that the
/// number does not have.
#[test]
fn scalar_evolution_of_rounded_starts() {
    let counting = |step: u32, mask: u32| {
        format!(
            "(local.set $j
               (i32.and (i32.sub (i32.const 1500) (i32.rem_u (local.get $n) (i32.const 90)))
                        (i32.const {mask})))
             (local.set $i (i32.const 0))
             (loop $l
               (drop (i32.load (local.get $i)))
               (local.set $i (i32.add (local.get $i) (i32.const {step})))
               (br_if $l (local.tee $j (i32.sub (local.get $j) (i32.const 2)))))"
        )
    };
    // 1500 is 0b10111011100, and 1411 is 0b10110000011.
    elides("induction", CheckFate::Induction, &counting(87, 0b101_1111_1110));
    keeps(1, &counting(88, 0b101_1111_1110));
    // That clears higher bits, or none, or not all below the highest that it clears.
    keeps(1, &counting(4, 0b010_1111_1110));
    keeps(1, &counting(4, 0b101_1111_1111));
    keeps(1, &counting(4, 0b101_1110_1110));
}

/// `$i * 4 - $i / 90 * 360` is four times a remainder.
#[test]
fn scalar_evolution_of_remainders() {
    let load = |offset: u32, factor: u32| {
        format!(
            "(loop $l
               (call $callee)
               (drop (i32.load8_u offset={offset}
                 (i32.sub (i32.shl (local.get $i) (i32.const 2))
                          (i32.mul (i32.div_u (local.get $i) (i32.const 90)) (i32.const {factor})))))
               (br_if $l (local.get $n)))"
        )
    };
    elides("induction", CheckFate::Induction, &load(65535 - 356, 360));
    keeps(1, &load(65536 - 356, 360));
    keeps(1, &load(0, 356));
    keeps(1, &load(0, 364));
    keeps(1, &load(0, 360).replace("div_u", "div_s"));
}

/// Three loops inside of one another: 16 times 64 times 64 bytes, the outer ones by an address of their own.
fn nested_loops(offset: u32) -> String {
    let again = |label: &str, local: &str, limit: u32| {
        format!(
            "(br_if ${label} (i32.ne
               (local.tee ${local} (i32.add (local.get ${local}) (i32.const 1))) (i32.const {limit})))"
        )
    };
    let (inner, middle, outer) =
        (again("inner", "j", 64), again("middle", "m", 64), again("outer", "o", 16));
    format!(
        "(local $m i32) (local $o i32) (local $row i32) (local $plane i32)
         (loop $outer
           (local.set $row (local.get $plane))
           (local.set $m (i32.const 0))
           (loop $middle
             (local.set $j (i32.const 0))
             (loop $inner
               (drop (i32.load8_u offset={offset} (i32.add (local.get $row) (local.get $j))))
               {inner})
             (local.set $row (i32.add (local.get $row) (i32.const 64)))
             {middle})
           (local.set $plane (i32.add (local.get $plane) (i32.const 4096)))
           {outer})"
    )
}

/// The loops in between pass on `$plane` as it is, which must not hide that it is an induction variable.
#[test]
fn scalar_evolution_of_nested_loops() {
    elides("induction", CheckFate::Induction, &nested_loops(0));
    keeps(1, &nested_loops(1));
    let passes = Passes::ALL.without("redundant-phis").unwrap();
    let hidden = stats(&module("(memory 1)", &nested_loops(0)), &Options { passes, ..trap() });
    assert_eq!(hidden.count(CheckFate::Checked), 1);
}

#[test]
fn dominated_checks() {
    let elides = |body: &str| elides("dominated", CheckFate::Dominated, body);
    let load = "(drop (i32.load (local.get $i)))";
    let stronger = "(drop (i32.load offset=4 (local.get $i)))";
    let store = "(i32.store offset=4 (local.get $i) (i32.const 0))";
    elides(&format!("{stronger}{load}"));
    elides(&format!("{store}(call $callee){load}"));
    elides(&format!("{store}(drop (memory.grow (i32.const 1))){load}"));
    elides(&format!("{store}(if (local.get $n) (then {load}))"));
    elides(&format!("{store}(loop $l {load}(br_if $l (local.get $n)))"));
    let later = "(drop (i32.load (i32.add (local.get $i) (i32.const 4))))";
    elides(&format!("{store}{later}"));
    keeps(
        2,
        &format!(
            "{store}(call $callee)(drop (i32.load offset=1 (i32.add (local.get $i) (i32.const 4))))"
        ),
    );
    keeps(2, &format!("{store}(drop (i32.load (i32.sub (local.get $i) (i32.const 4))))"));
    // Not on all ways.
    keeps(2, &format!("(if (local.get $n) (then {stronger})){load}"));
    keeps(2, &format!("(if (local.get $n) (then {stronger}) (else {load}))"));
    keeps(2, &format!("(block $b (br_if $b (local.get $n)){store}){load}"));
    // Not of the same number, and not strong enough.
    keeps(2, &format!("{stronger}(local.set $i (local.get $n)){load}"));
    keeps(2, &format!("{load}(call $callee){stronger}"));
}

/// How many of a body's checks others dominate.
fn dominated(body: &str) -> u64 {
    stats(&module("(memory 1)", body), &trap()).count(CheckFate::Dominated)
}

/// The strongest check of an index stays known behind weak ones, and a long chain of sums is followed.
#[test]
fn dominated_checks_of_many_sums() {
    let load = |offset: u32, sum: i32| {
        format!("(drop (i32.load offset={offset} (i32.add (local.get $i) (i32.const {sum}))))")
    };
    let weak: String = (1..6).map(|place| load(0, -8 * place)).collect();
    assert_eq!(dominated(&format!("{}{weak}{}", load(100, 0), load(0, 96))), 1);
    assert_eq!(dominated(&format!("{}{weak}{}", load(100, 0), load(5, 96))), 0);
    let next = "(local.set $i (i32.add (local.get $i) (i32.const 8)))";
    // Ways that end elsewhere keep checks from being made one.
    let way = "(br_if 0 (local.get $n))";
    let link = format!("{}{way}{next}{}{way}", load(32, 0), load(16, 0));
    assert_eq!(dominated(&link.repeat(12)), 12);
}

/// The fields of a structure of eight bytes, whose index is a multiple of eight, with the check of the one at 4.
#[test]
fn dominated_checks_of_fields() {
    let with = |load: &str, constant: u32| {
        format!(
            "(local.set $j (i32.shl (local.get $n) (i32.const 3)))
             (i32.store (i32.add (local.get $j) (i32.const 1028)) (local.get $n))
             (drop ({load} (i32.add (local.get $j) (i32.const {constant}))))"
        )
    };
    let elides = |load, at| elides("dominated", CheckFate::Dominated, &with(load, at));
    elides("i32.load8_u", 1027);
    elides("i32.load8_u", 1024);
    elides("i64.load", 1024);
    elides("i32.load8_u", 1031);
    // Behind the end; and with an index that wraps around where the one of the check is 4.
    keeps(2, &with("i32.load8_u", 1032));
    keeps(2, &with("i64.load", 1025));
    keeps(2, &with("i32.load8_u", 1023));
    // Of no multiple of eight.
    keeps(2, &with("i32.load8_u", 1027).replace("i32.shl", "i32.shr_u"));
    keeps(2, &with("i32.load8_u", 1025).replace("(i32.const 3)", "(i32.const 1)"));
}

#[test]
fn merged_checks() {
    let elides = |body: &str| elides("merged", CheckFate::Merged, body);
    let load = "(drop (i32.load (local.get $i)))";
    let stronger = "(drop (i32.load offset=4 (local.get $i)))";
    elides(&format!("{load}{stronger}"));
    elides(&format!("{load}(local.set $j (i32.mul (local.get $j) (local.get $j))){stronger}"));
    // What comes before the second trap can be noticed.
    let store = "(i32.store (local.get $i) (i32.const 0))";
    keeps(2, &format!("{store}{stronger}"));
    keeps(2, &format!("{load}(call $callee){stronger}"));
    keeps(2, &format!("{load}(local.set $j (i32.div_u (local.get $n) (local.get $n))){stronger}"));
    keeps(2, &format!("{load}(if (local.get $n) (then {stronger}))"));
    // The size may be less than the second needs, and more than the first.
    keeps(2, &format!("{load}(drop (i32.load offset=70000 (local.get $i)))"));
}

#[test]
fn hoisted_checks() {
    let elides = |body: &str| elides("hoisted", CheckFate::Hoisted, body);
    let load = "(local.set $j (i32.add (local.get $j) (i32.load (local.get $i))))";
    let again = "(br_if $l (i32.lt_u (local.get $j) (local.get $n)))";
    elides(&format!("(loop $l {load}{again})"));
    elides(&format!("(loop $l (block {load}) (call $callee){again})"));
    elides(&format!(
        "(loop $l (drop (i32.load (i32.mul (local.get $i) (local.get $n)))) (call $callee)
           (local.set $j (i32.add (local.get $j) (i32.const 1))){again})"
    ));
    // Not made in every round, nor in the first one before all else.
    keeps(1, &format!("(loop $l (if (local.get $j) (then {load})){again})"));
    keeps(1, &format!("(loop $l (call $callee){load}{again})"));
    keeps(
        2,
        &format!("(loop $l (i32.store (local.get $n) (local.get $j)){load}{again})")
            .replace("(local.get $n) (local.get $j)", "(local.get $j) (local.get $j)"),
    );
    // Another index in every round.
    keeps(
        1,
        &format!("(loop $l (local.set $i (i32.add (local.get $i) (i32.const 4))){load}{again})"),
    );
    let global = "(local.set $j (i32.add (local.get $j) (i32.load (global.get $g))))
                  (global.set $g (i32.add (global.get $g) (i32.const 4)))";
    let wat = module(
        "(memory 1) (global $g (mut i32) (i32.const 0))",
        &format!("(loop $l {global}{again})"),
    );
    assert_eq!(stats(&wat, &trap()).count(CheckFate::Checked), 1);
}

#[test]
fn sixty_four_bit_indices_need_no_comparison_if_they_were_32() {
    let body = "(drop (i32.load (i64.extend_i32_u (local.get $i))))
                (drop (i32.load (i64.and (local.get $k) (i64.const 0xfffff))))
                (drop (i32.load (local.get $k)))";
    let guard = stats(&module("(memory i64 1)", body), &Options::default());
    let counts = [CheckFate::Range, CheckFate::IndexChecked].map(|fate| guard.count(fate));
    assert_eq!(counts, [2, 1]);
    let signed = "(drop (i32.load (i64.extend_i32_s (local.get $i))))";
    let guard = stats(&module("(memory i64 1)", signed), &Options::default());
    assert_eq!(guard.count(CheckFate::IndexChecked), 1);
}

#[test]
fn clamping_is_elided_but_lets_nothing_else_be() {
    let clamp = Options { bounds: BoundsStrategy::Clamp, ..Options::default() };
    let load = "(drop (i32.load offset=4 (local.get $i)))";
    let body = format!("{load}{load}(drop (i32.load (i32.const 0)))");
    let stats = stats(&module("(memory 1)", &body), &clamp);
    let counts = [CheckFate::Clamped, CheckFate::Constant].map(|fate| stats.count(fate));
    assert_eq!(counts, [2, 1]);
    assert_eq!(stats.accesses(), 3);
}

#[test]
fn every_access_is_counted_once() {
    let everything = include_bytes!("samples/everything.wat");
    let accesses = compile(everything, &Options::default()).unwrap().bounds.accesses();
    for bounds in BoundsStrategy::ALL {
        for elide in [Proofs::ALL, Proofs::NONE] {
            let options = Options { bounds: *bounds, elide, ..Options::default() };
            let stats = compile(everything, &options).unwrap().bounds;
            assert_eq!(stats.accesses(), accesses, "{bounds:?}");
            assert!(elide == Proofs::ALL || stats.elided() == 0, "{bounds:?}: {stats:?}");
        }
    }
}

/// Assertions stand where checks were.
#[test]
fn verified_code_asserts_what_was_elided() {
    let wat = "(module (memory 1) (func (result i32) (i32.load (i32.const 4))))";
    for bounds in [BoundsStrategy::Trap, BoundsStrategy::Clamp] {
        let options = Options { bounds, ..Options::default() };
        let traps = |options| clif(wat.as_bytes(), 0, options).unwrap().matches("trapnz").count();
        assert_eq!(traps(&options), 0, "{bounds:?}");
        let verified = Options { verify_bounds: true, ..options };
        let code = clif(wat.as_bytes(), 0, &verified).unwrap();
        let failed = format!("user{}", wfaas_abi::TrapCode::ElidedCheckFailed as u8);
        assert_eq!(code.lines().filter(|line| line.ends_with(&failed)).count(), 1, "{code}");
    }
}

/// Nothing is left of a check: neither the trap nor the load of the size.
#[test]
fn elided_checks_leave_no_code() {
    let wat = "(module (memory 1 9) (func (param i32) (result i32)
        (i32.load (i32.and (local.get 0) (i32.const 0xff)))))";
    let code = |bounds, elide| {
        clif(wat.as_bytes(), 0, &Options { bounds, elide, ..Options::default() }).unwrap()
    };
    let loads = |code: &str| code.matches("load.i").count();
    for bounds in [BoundsStrategy::Trap, BoundsStrategy::Clamp] {
        assert_eq!(loads(&code(bounds, Proofs::ALL)), 1, "{bounds:?}");
        assert_eq!(loads(&code(bounds, Proofs::NONE)), 2, "{bounds:?}");
    }
}

#[test]
fn unknown_proofs_are_named() {
    let error = Proofs::ALL.without("hope").unwrap_err().to_string();
    assert!(error.contains("'hope'") && error.contains("dominated"), "{error}");
}

/// Looking for proofs takes time in proportion to the function: each of these would take minutes
/// if a check looked at all of it.
#[test]
fn large_functions_compile() {
    let distinct = "(drop (i32.load (local.tee $i (i32.xor (local.get $i) (local.get $n)))))";
    let many = 6_000;
    let in_a_loop = format!("(loop $l {}(br_if $l (local.get $n)))", distinct.repeat(many));
    let branches = format!(
        "(block $b (result i32) {} (local.get $i)) (local.set $i)
         (loop $l (result i32) (local.get $i)) (local.set $i)
         {}",
        "(br_if $b (local.get $i) (local.get $n)) (drop)".repeat(many),
        "(drop (i32.load (local.get $i))) (call $callee)".repeat(many)
    );
    let conditions = "(local.set $j (i32.lt_u (local.get $i) (local.get $n)))".to_owned()
        + &"(local.set $j (i32.and (local.get $j) (local.get $j)))".repeat(30)
        + &"(if (local.get $j) (then (drop (i32.load (local.get $i)))))".repeat(many);
    let sums = "(local.set $i (i32.add (local.get $i) (local.get $i)))
                (drop (i32.load (local.get $i)))"
        .repeat(many);
    for body in [in_a_loop, branches, conditions, sums] {
        assert!(stats(&module("(memory 1)", &body), &trap()).accesses() >= many as u64);
    }
}
