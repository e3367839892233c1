//! Random calls of all of preview1, against every backend at once.
//!
//! `drive` has what is checked; the fuzz target calls the same. `just fuzz-preview1` runs the long form, and
//! `SEED=n` repeats what it has found.

mod drive;
mod reuse;

use drive::{Seeds, Tally, run, show};
use std::time::{Duration, Instant};

/// Seeds that are tried in any case, and the time after which there are no more of them.
const SEEDS: u64 = 300;
const TIME: Duration = Duration::from_secs(10);

#[test]
fn random_calls_keep_the_host_as_it_is() {
    let (started, mut tally) = (Instant::now(), Tally::new());
    for seed in 0..SEEDS {
        add(&mut tally, run(&Seeds::bytes(seed)));
        if started.elapsed() > TIME {
            break;
        }
    }
    // Calls that never succeed would show nothing.
    for function in ["path_open", "fd_read", "fd_write", "fd_readdir", "path_rename", "fd_renumber"]
    {
        assert!(tally.contains_key(&(function, 0)), "{function} has never succeeded");
    }
}

fn add(tally: &mut Tally, more: Tally) {
    more.into_iter().for_each(|(answer, count)| *tally.entry(answer).or_default() += count);
}

/// Tries seeds that nobody has tried yet.
#[test]
#[ignore = "takes as long as SECONDS says"]
fn many_random_calls_keep_the_host_as_it_is() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let only: Option<u64> = number("SEED");
    let time = Duration::from_secs(number("SECONDS").unwrap_or(600));
    let first = only.unwrap_or_else(Seeds::fresh);
    let (started, mut tally) = (Instant::now(), Tally::new());
    for seed in first.. {
        // The last line names the one that fails.
        eprintln!("SEED={seed}");
        add(&mut tally, run(&Seeds::bytes(seed)));
        if only.is_some() || started.elapsed() > time {
            let (seeds, calls) = (seed - first + 1, tally.values().sum::<usize>());
            eprintln!("{}{seeds} seeds, {calls} calls, {:?}", show(&tally), started.elapsed());
            break;
        }
    }
}
