//! A bounded number of seeds, all cases that were wrong once, and the harness itself.
//!
//! `WFAAS_SEEDS=1000` runs as many seeds, `WFAAS_SEEDS=100..200` these.

use std::path::Path;
use wfaas_abi::BoundsStrategy;
use wfaas_differential::{
    Choice, FEATURES, Verdict, hostile, restore_bytes, run_bytes, run_module, run_seed,
};

/// Seeds of an ordinary run: about 20 seconds.
const SEEDS: u64 = 400;

/// The features the compiler has; whoever adds one adds it here.
const ACCEPTED: &[&str] = &[
    "simd",
    "tail-call",
    "extended-const",
    "memory64",
    "multi-memory",
    "wide-arithmetic",
    "exceptions",
    "threads",
];

/// Of the seeds' modules, at least so many of a hundred must say something.
const LEAST_DECIDED: usize = 70;

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("WFAAS_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse().expect("WFAAS_SEEDS is a number or first..last");
    match text.split_once("..") {
        Some((first, last)) => number(first)..number(last),
        None => 0..number(&text),
    }
}

#[test]
fn seeds_agree() {
    let choice = Choice::all();
    let (mut agreed, mut restored, mut total, mut returned) = (0, 0, 0, 0);
    for seed in seeds() {
        let outcome = run_seed(seed, &choice);
        let outcome = outcome.unwrap_or_else(|wrong| {
            panic!(
                "seed {seed}: {wrong}\nfeatures: {}; `wfaas-differential --seeds {seed}` writes \
                 the module",
                choice.names()
            )
        });
        total += 1;
        returned += outcome.returned;
        agreed += usize::from(matches!(outcome.peer, Verdict::Agreed | Verdict::NotApplicable));
        restored += usize::from(outcome.restore == Verdict::Agreed);
    }
    eprintln!("{total} seeds: {agreed} agree with the peer, {restored} with their restored copy");
    assert!(agreed * 100 >= total * LEAST_DECIDED, "{agreed} of {total} decide anything");
    assert!(returned >= 3 * total, "only {returned} calls returned: nothing much is compared");
    assert!(restored * 100 >= total * LEAST_DECIDED, "{restored} of {total} could be captured");
}

#[test]
fn features_are_those_listed() {
    let accepted: Vec<_> = FEATURES.iter().filter(|f| f.accepted()).map(|f| f.name).collect();
    assert_eq!(accepted, ACCEPTED);
}

/// Each file of `regressions/` says in a comment what was wrong.
#[test]
fn regressions_agree() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in std::fs::read_dir(directory).expect("regressions/") {
        let path = entry.unwrap().path();
        if !path.extension().is_some_and(|name| name == "wat" || name == "wasm") {
            continue;
        }
        let wasm = wat::parse_file(&path).expect("a module");
        for (seed, strategy) in
            (0..8).flat_map(|n| BoundsStrategy::ALL.iter().map(move |s| (n, *s)))
        {
            let choice = Choice::all().with_bounds(strategy);
            let outcome = run_module(&wasm, seed, true, &choice);
            let outcome = outcome.unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
            let decided = matches!(outcome.peer, Verdict::Agreed | Verdict::NotApplicable);
            let traps = !matches!(strategy, BoundsStrategy::Clamp | BoundsStrategy::None);
            assert!(decided || !traps, "{}: {:?}", path.display(), outcome.peer);
        }
    }
}

#[test]
fn the_same_seed_is_the_same_module() {
    let choice = Choice::all();
    for seed in 0..20 {
        let module = |seed| wfaas_differential::generate::module(seed, &choice).map(|m| m.wasm);
        assert_eq!(module(seed), module(seed));
        assert_ne!(module(seed), module(seed + 1));
    }
}

/// The bodies of the fuzz targets, over a few inputs each.
#[test]
fn fuzz_targets_run() {
    let choice = Choice::all();
    for seed in 0..10 {
        let module = wfaas_differential::generate::module(seed, &choice).expect("a module").wasm;
        for cut in [module.len(), module.len() / 2, 9, 0] {
            hostile::compile(&module[..cut]);
        }
        for (at, byte) in [(8, 0xff), (20, 0), (module.len() / 2, 0x80), (module.len() - 1, 1)] {
            let mut damaged = module.clone();
            damaged[at] = byte;
            hostile::compile(&damaged);
        }
        hostile::artifact(&module);
        hostile::bundle(&module);
        hostile::component(&module);
        for target in [run_bytes, restore_bytes] {
            target(&module, &choice).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        }
    }
}
