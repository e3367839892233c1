//! One guest, driven by bytes: they choose its calls, its trees are checked afterwards.
//!
//! * nothing panics, and every call ends;
//! * an error number is one that the function can answer;
//! * a canary beside the guest's directories, and all that it may only read, stay as they were;
//! * no byte of the canary is in the guest's memory.

#[path = "../../common/errnos.rs"]
#[allow(dead_code)] // other tests use more of it
mod errnos;
#[path = "../../common/executor.rs"]
#[allow(dead_code)] // other tests use more of it
mod executor;
#[path = "../../common/exports.rs"]
mod exports;

mod arguments;
pub(crate) mod guest;
pub(crate) mod source;
pub(crate) mod world;

use guest::{Ended, Guest, Kind};
pub(crate) use source::Seeds;
use source::Source;
use std::collections::BTreeMap;
use world::World;

/// Most calls of a guest.
const MOST_CALLS: usize = 200;

/// Answers of functions, and how often each was given.
pub(crate) type Tally = BTreeMap<(&'static str, u16), usize>;

/// Lets a guest make the calls that `bytes` choose; their answers.
///
/// # Panics
/// If anything happens that must not.
pub(crate) fn run(bytes: &[u8]) -> Tally {
    let mut source = Source::new(bytes);
    let kind = Kind::choose(&mut source);
    let mut world = World::new(source.one_in(2));
    let mut guest = Guest::new(kind, world.wasi());
    let tally = drive(&mut guest, &mut source, &world);
    assert!(!guest.sees(world::SECRET), "the guest has read the canary");
    drop(guest);
    world.check();
    tally
}

/// Makes the calls that are left in `source`; their answers.
pub(crate) fn drive(guest: &mut Guest<'_>, source: &mut Source<'_>, world: &World) -> Tally {
    let mut tally = Tally::new();
    arguments::begin(guest);
    for _ in 0..MOST_CALLS {
        if source.is_empty() {
            break;
        }
        let (function, args) = arguments::call(guest, source, world);
        match guest.call(function, &args) {
            Ended::Answered(errno) => {
                let is_known = errno == 0 || errnos::of(function).contains(&errno);
                let name = errnos::name(errno);
                assert!(is_known, "{function} {args:?} answers {name} ({errno})");
                *tally.entry((function, errno)).or_default() += 1;
                if errno == 0 {
                    guest.succeeded(function, &args);
                }
            }
            Ended::Late => *tally.entry((function, LATE)).or_default() += 1,
            Ended::Over => break,
        }
    }
    tally
}

/// The answer of a function that the deadline has ended.
const LATE: u16 = u16::MAX;

/// Answers for people: a line a function.
pub(crate) fn show(tally: &Tally) -> String {
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    for ((function, errno), count) in tally {
        let name = if *errno == LATE { "late" } else { errnos::name(*errno) };
        *lines.entry(function).or_default() += &format!(" {name} {count}");
    }
    lines.iter().map(|(function, answers)| format!("{function}:{answers}\n")).collect()
}
