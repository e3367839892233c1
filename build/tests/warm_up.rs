//! Warm-up requests: the pages that they write to are in the artifact, and the same each time.

mod common;

use common::{built, engine, handle, spec};
use wfaas_abi::Artifact;
use wfaas_abi::artifact::{Profile, replace_image, set_profile};
use wfaas_abi::image::{Run, SparseImage};
use wfaas_build::{WarmUp, WarmUpError, WarmedUp, warm_up};
use wfaas_function::Function;
use wfaas_vm::{Config, Engine, Module, Tracking};

/// A reactor that writes to the page that its body's first byte says, and one of memory that it
/// grows by two pages; it traps if memory is not as in the image.
const TOUCH: &str = r#"(module
  (memory (export "memory") 4 10)
  (memory $other 1)
  (data (i32.const 40976) "pristine")
  (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "faas_handle") (param $ptr i32) (param $len i32) (result i64)
    (local $at i32)
    (local.set $at (i32.mul (i32.load8_u (local.get $ptr)) (i32.const 4096)))
    (if (i32.load (i32.add (local.get $at) (i32.const 16))) (then unreachable))
    (if (i32.ne (memory.grow (i32.const 2)) (i32.const 4)) (then unreachable))
    (if (i32.load (i32.const 300000)) (then unreachable))
    (i32.store (i32.add (local.get $at) (i32.const 16)) (i32.const 1))
    (i32.store $other (i32.const 100) (i32.const 1))
    (i32.store (i32.const 300000) (i32.const 1))
    (i64.const 0)))"#;

fn warmed(artifact: &[u8], pages: &[u8]) -> (Vec<u8>, Profile) {
    let requests = pages.iter().map(|page| WarmUp::with_body(vec![*page])).collect();
    match warm_up(artifact, spec(), requests).unwrap() {
        WarmedUp::Artifact(bytes, profile) => (bytes, profile),
        WarmedUp::TooLarge => panic!("too large"),
    }
}

#[test]
fn the_profile_says_what_was_written_to() {
    let artifact = built(TOUCH);
    let (bytes, profile) = warmed(&artifact, &[7, 20, 7]);
    let parsed = Artifact::parse(&bytes).unwrap();
    parsed.verify().unwrap();
    let state = (parsed.image().state_bytes / 4096) as u32;
    let other = state + (wfaas_abi::memories::STRIDE / 4096) as u32;
    // The size of the memory is in the last page of the state; the body is put into page 0.
    let expected = [
        Run { first: state - 1, pages: 2 },
        Run { first: state + 7, pages: 1 },
        Run { first: state + 20, pages: 1 },
        Run { first: other, pages: 1 },
    ];
    assert_eq!(profile.runs, expected);
    assert_eq!(profile.memory_pages, [6, 1]);
    assert_eq!(parsed.profile().unwrap().pages(), 5);
    assert_eq!(parsed.image().bytes, Artifact::parse(&artifact).unwrap().image().bytes);
}

#[test]
fn the_same_requests_give_the_same_bytes() {
    let artifact = built(TOUCH);
    let (first, _) = warmed(&artifact, &[7, 20, 9]);
    assert_eq!(warmed(&artifact, &[20, 9, 7]).0, first);
    // Warming up again replaces the profile.
    assert_eq!(warmed(&first, &[7, 20, 9]).0, first);
    assert_ne!(warmed(&first, &[7, 20, 11]).0, first);
}

#[test]
fn a_function_with_a_profile_answers_as_without_by_each_way() {
    let (bytes, _) = warmed(&built(TOUCH), &[7, 20]);
    for tracking in [Tracking::Auto, Tracking::Pages, Tracking::Granules, Tracking::Discard] {
        let engine = Engine::new(Config { tracking, ..Config::default() }).unwrap();
        let module = Module::from_bytes(&engine, &bytes).unwrap();
        let function = Function::new(&engine, &module, spec()).unwrap();
        for page in [7, 20, 30, 7, 7, 30] {
            handle(&function, [page]).unwrap_or_else(|error| {
                panic!("page {page}, {tracking:?}: {error}");
            });
        }
    }
}

#[test]
fn a_request_that_fails_is_named() {
    let artifact = built(TOUCH);
    // Page 10 holds "pristine".
    let requests = [[7], [10]].map(WarmUp::with_body).into();
    let error = warm_up(&artifact, spec(), requests).unwrap_err();
    assert!(error.to_string().starts_with("warm-up request 2 failed: "), "{error}");
    let many = vec![WarmUp::with_body([7]); 65];
    assert!(matches!(warm_up(&artifact, spec(), many), Err(WarmUpError::TooMany(65))));
}

#[test]
fn more_pages_than_a_profile_may_have_are_none() {
    let artifact = built(
        r#"(module (memory (export "memory") 300)
          (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "faas_handle") (param i32 i32) (result i64)
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 18000000))
            (i64.const 0)))"#,
    );
    let warmed_up = warm_up(&artifact, spec(), vec![WarmUp::with_body("")]).unwrap();
    assert_eq!(warmed_up, WarmedUp::TooLarge);
    assert!(warmed_up.reason().unwrap().contains("4096 pages"));
}

#[test]
fn another_image_has_no_profile() {
    let (bytes, _) = warmed(&built(TOUCH), &[7]);
    let parsed = Artifact::parse(&bytes).unwrap();
    let image = SparseImage::new(parsed.image().state_bytes);
    let replaced = replace_image(&parsed, &image, &[4, 1]).unwrap();
    assert!(Artifact::parse(&replaced).unwrap().profile().is_none());
}

#[test]
fn impossible_profiles_are_refused() {
    let artifact = built(TOUCH);
    let parsed = Artifact::parse(&artifact).unwrap();
    let state = (parsed.image().state_bytes / 4096) as u32;
    let run = |first, pages| Run { first, pages };
    for (runs, sizes, message) in [
        (vec![run(0, 1)], vec![4], "other memories"),
        (vec![run(0, 1)], vec![3, 1], "impossible size"),
        (vec![run(0, 1)], vec![65_537, 1], "impossible size"),
        (vec![run(1, 1), run(0, 1)], vec![4, 1], "overlap"),
        (vec![run(0, 2), run(1, 1)], vec![4, 1], "overlap"),
        (vec![run(0, 0)], vec![4, 1], "overlap"),
        (vec![run(0, 4097)], vec![65_536, 1], "too many"),
        (vec![run(state + 63, 2)], vec![4, 1], "outside"),
        (vec![run(state + 64, 1)], vec![4, 1], "outside"),
        (vec![run(u32::MAX, 2)], vec![4, 1], "outside"),
    ] {
        let profile = Profile { runs, memory_pages: sizes };
        let error = set_profile(&parsed, &profile).unwrap_err().to_string();
        assert!(error.contains(message), "{profile:?}: {error}");
    }
    let fits = Profile { runs: vec![run(state + 63, 2)], memory_pages: vec![5, 1] };
    set_profile(&parsed, &fits).unwrap();
}

/// Whatever is in the bytes of a profile, loading refuses it or the function works.
#[test]
fn a_damaged_profile_does_no_harm() {
    let (bytes, _) = warmed(&built(TOUCH), &[7, 20]);
    let engine = engine();
    let parsed = Artifact::parse(&bytes).unwrap();
    let places: Vec<usize> = ["profileruns", "profilesizes"]
        .iter()
        .flat_map(|name| {
            let ids = wfaas_abi::artifact::SectionId::ALL.iter();
            let id = *ids.clone().find(|id| id.elf_name().ends_with(name)).unwrap();
            let section = parsed.header().sections[id as usize];
            section.offset.get() as usize..(section.offset.get() + section.size.get()) as usize
        })
        .collect();
    assert!(places.len() > 32);
    for at in places {
        for bit in [0x01, 0x10, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            // The header does not change, so only what is checked when it is used can notice.
            let Ok(module) = Module::from_bytes(&engine, &damaged) else { continue };
            let function = Function::new(&engine, &module, spec()).unwrap();
            for _ in 0..2 {
                handle(&function, [20]).unwrap();
            }
        }
    }
}
