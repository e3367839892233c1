//! Blocks, branches and exceptions.

use super::{Family, each, family, func, wrap};

pub(super) const FAMILIES: &[Family] = &[
    family("nested-blocks", 4_000, |n| func(0, &wrap("(block ", "(call $f)", n))),
    family("blocks-in-a-row", 4_000, |n| {
        func(0, &"(block (local.set 0 (i32.add (i32.const 1) (local.get 0))))".repeat(n))
    }),
    family("blocks-left-early", 1_000, |n| {
        let branch = |n: usize| format!("(br_if 0 (i32.eq (local.get 0) (i32.const {n})))");
        func(0, &format!("(block {})", each(n, branch)))
    }),
    family("ifs-in-a-row", 2_000, |n| {
        func(0, &"(if (local.get 0) (then (local.set 0 (call $g))))".repeat(n))
    }),
    family("branches-never-taken", 1_000, |n| {
        let never = "(if (i32.const 0) (then (call $f) (br 1)))".repeat(n);
        func(0, &format!("(block {never})"))
    }),
    family("nested-ifs", 500, |n| {
        func(0, &format!("{}{}", "(if (call $g) (then ".repeat(n), "(call $f)))".repeat(n)))
    }),
    family("else-chain", 2_000, |n| {
        let start = "(if (i32.eq (local.get 0) (call $g)) (then) (else ";
        func(0, &format!("{}{}", start.repeat(n), "))".repeat(n)))
    }),
    family("else-chain-with-results", 2_000, |n| {
        let start = "(if (result i32) (call $g) (then (call $g)) (else ";
        func(0, &format!("{}(call $g){} drop", start.repeat(n), "))".repeat(n)))
    }),
    family("interpreter", 200, |n| {
        let targets = each(n, |target| format!("{target} "));
        let add = |n: usize| format!("(local.set 0 (i32.add (local.get 0) (i32.const {n})))");
        let instruction = |n: usize| format!(") {} (br $next)", add(n));
        let table = format!("(br_table {targets} 0 (local.get 0))");
        let body = format!("{}{table}{}", "(block ".repeat(n), each(n, instruction));
        func(0, &format!("(loop $next {body})"))
    }),
    family("table-of-one-target", 3_000, |n| {
        func(0, &format!("(block (br_table {} 0 (local.get 0)))", "0 ".repeat(n)))
    }),
    family("table-of-two-targets", 6_000, |n| {
        let table = format!("(br_table {} 0 (local.get 0))", "0 1 ".repeat(n / 2));
        func(0, &format!("(block (block {table}) (call $f))"))
    }),
    family("table-of-many-targets", 2_000, |n| {
        let targets = each(n, |target| format!("{target} "));
        let table = format!("(br_table {targets} 0 (local.get 0))");
        func(0, &format!("{}{table}{}", "(block ".repeat(n), "(call $f))".repeat(n)))
    }),
    family("many-tables", 80, |n| {
        let table = format!("(block (br_table {} 0 (local.get 0)))", "0 1 ".repeat(10));
        func(0, &format!("(block {} )", table.repeat(n)))
    }),
    family("tables-to-all-labels", 40, |n| {
        let targets = each(n, |target| format!("{target} "));
        let table = format!("(block (br_table {targets} 0 (local.get 0)))");
        func(0, &format!("{}{}{}", "(block ".repeat(n), table.repeat(40), ")".repeat(n)))
    }),
    family("interpreter", 1_200, |n| {
        let targets = each(n, |target| format!("{target} "));
        let table = format!("(br_table {targets} 0 (local.get 0))");
        let case = |case: usize| {
            let (to, from) = (case % 6 + 1, (case * 7) % 6 + 1);
            format!("(local.set {to} (i32.add (local.get {from}) (call $g))) (br {}))", n - case)
        };
        let cases = format!("{}{table}){}", "(block ".repeat(n + 1), each(n, case));
        func(6, &format!("(loop (block {cases}) (br 0))"))
    }),
    family("branches-with-operands", 200, |n| {
        let (values, results) = ("(call $g) ".repeat(10), "i32 ".repeat(10));
        let branches = "(br_if 0 (call $g))".repeat(n);
        let drops = "drop ".repeat(10);
        func(0, &format!("(block (result {results}) {values} {branches}) {drops}"))
    }),
    family("blocks-with-many-params", 200, |n| {
        let types = "i32 ".repeat(10);
        let (values, drops) = ("(call $g) ".repeat(10), "drop ".repeat(10));
        let block = format!("(block (param {types}) (result {types}))");
        func(0, &format!("{values} {} {drops}", block.repeat(n)))
    }),
    family("loops-with-many-params", 200, |n| {
        let types = "i32 ".repeat(10);
        let (values, drops) = ("(call $g) ".repeat(10), "drop ".repeat(10));
        let block = format!("(loop (param {types}) (result {types}) (br_if 0 (call $g)))");
        func(0, &format!("{values} {} {drops}", block.repeat(n)))
    }),
    family("loops-in-a-row", 500, |n| {
        let step = "(local.set 0 (i32.add (local.get 0) (i32.load (local.get 0))))";
        func(0, &format!("(loop {step} (br_if 0 (local.get 0)))").repeat(n))
    }),
    family("nested-loops", 100, |n| {
        let step = "(loop (local.set 0 (i32.add (local.get 0) (i32.const 1)))";
        func(0, &wrap(step, "(call $f)", n))
    }),
    family("nested-loops-in-a-row", 10, |n| {
        let start = "(loop (local.set 0 (i32.add (local.get 0) (i32.const 1)))";
        let nest = format!("{}{}", start.repeat(30), "(br_if 0 (local.get 0)))".repeat(30));
        func(0, &nest.repeat(n))
    }),
    family("deeply-nested-loops-in-a-row", 4, |n| {
        let start = "(loop (local.set 0 (i32.add (local.get 0) (i32.const 1)))";
        let nest = format!("{}{}", start.repeat(500), "(br_if 0 (local.get 0)))".repeat(500));
        func(0, &nest.repeat(n))
    }),
    family("nested-tries", 1_600, |n| {
        let start = "(block $h (try_table (catch_all $h) (call $f) ";
        func(0, &format!("{}{}", start.repeat(n), "(call $f)))".repeat(n)))
    }),
    family("tries-in-a-row", 1_600, |n| {
        let catch = "(block $h (try_table (catch_all $h) (local.set 0 (call $g))))";
        func(0, &catch.repeat(n))
    }),
    family("many-catches", 1_600, |n| {
        let catches = "(catch $t $h) ".repeat(n);
        func(0, &format!("(block $h (try_table {catches} (call $f)))"))
    }),
    family("many-catches-of-nested-tries", 10, |n| {
        let start = format!("(try_table {} (call $f) ", "(catch $t $h) ".repeat(20));
        func(0, &format!("(block $h {})", wrap(&start, "(call $f)", n)))
    }),
    family("nested-legacy-tries", 1_600, |n| {
        let (start, end) = ("try (call $f) ", "(call $f) catch_all end ");
        func(0, &format!("{}{}", start.repeat(n), end.repeat(n)))
    }),
    family("legacy-tries-in-a-row", 1_600, |n| {
        func(0, &"try (local.set 0 (call $g)) catch $t (call $f) end ".repeat(n))
    }),
    family("legacy-tries-in-catches", 1_000, |n| {
        let (start, end) = ("try (call $f) catch $t (call $f) ", "rethrow 0 end ");
        func(0, &format!("{}{}", start.repeat(n), end.repeat(n)))
    }),
    family("many-legacy-catches", 1_600, |n| {
        let catches = "catch $t (local.set 0 (call $g)) ".repeat(n);
        func(0, &format!("try (call $f) {catches} end"))
    }),
    family("tries-that-delegate-outwards", 1_600, |n| {
        func(0, &format!("{}{}", "try (call $f) ".repeat(n), "delegate 0 ".repeat(n)))
    }),
    family("tries-that-delegate-to-one", 1_600, |n| {
        let delegates = each(n, |depth| format!("delegate {} ", n - 1 - depth));
        func(0, &format!("try {}{delegates} catch_all end", "try (call $f) ".repeat(n)))
    }),
    family("tries-in-a-row-that-delegate-far", 1_600, |n| {
        let row = format!("try (call $f) delegate {n} ").repeat(n);
        let (starts, ends) = ("block ".repeat(n), "end ".repeat(n));
        func(0, &format!("try {starts}{row}{ends} catch_all (call $f) end"))
    }),
    family("throws", 400, |n| func(0, &"(if (local.get 0) (then (throw $t)))".repeat(n))),
    family("unreachable-code", 2_000, |n| {
        func(0, &format!("(unreachable) {}", "(if (call $g) (then (call $f)))".repeat(n)))
    }),
    family("branch-hints", 500, |n| {
        let hinted = "(@metadata.code.branch_hint \"\\00\") (if (local.get 0) (then (call $f)))";
        func(0, &hinted.repeat(n))
    }),
    family("tail-calls", 200, |n| {
        let call = "(if (call $g) (then (return_call $h (local.get 0))))";
        func(0, &call.repeat(n))
    }),
];
