//! `wfaas-differential` checks the modules of many seeds.
//!
//! It prints what disagrees, writes the module, and goes on. A crash of the process itself shows
//! no seed: run the same seeds with `--jobs 1 --trace`.

use clap::Parser;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use wfaas_abi::BoundsStrategy;
use wfaas_differential::{Choice, Disagreement, Outcome, Verdict, run_seed};

/// Checks the modules of many seeds: against another engine, and restored against fresh.
#[derive(Parser)]
#[command(after_help = "Example: wfaas-differential --seeds 0..100000 --jobs 2")]
struct Arguments {
    /// First and last (excluded) seed, or one seed; without it, seeds nobody has tried yet, on
    /// and on.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Ends after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Proposals modules may use, separated by commas; all the compiler has if not given.
    #[arg(long, value_name = "NAMES")]
    features: Option<String>,
    /// Bounds strategy; if not given, each seed chooses one.
    #[arg(long, value_name = "NAME", value_parser = bounds)]
    bounds: Option<BoundsStrategy>,
    /// Where modules that disagree are written.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/disagreements")]
    out: PathBuf,
    /// Prints the counts as JSON.
    #[arg(long)]
    json: bool,
    /// Prints each seed before it runs.
    #[arg(long)]
    trace: bool,
}

fn bounds(text: &str) -> Result<BoundsStrategy, String> {
    let names: Vec<_> = BoundsStrategy::ALL.iter().map(|strategy| strategy.name()).collect();
    BoundsStrategy::from_name(text).ok_or_else(|| format!("there are: {}", names.join(", ")))
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?.saturating_add(1)),
    };
    if first < last { Ok(first..last) } else { Err("there is no seed in that range".into()) }
}

/// Counts over all seeds.
#[derive(Default)]
struct Counts {
    seeds: u64,
    calls: u64,
    returned: u64,
    /// By verdict: agreed, refused, inconclusive, not applicable.
    peer: [u64; 4],
    restore: [u64; 4],
    disagreements: Vec<(u64, String)>,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        self.calls += outcome.calls as u64;
        self.returned += outcome.returned as u64;
        self.peer[place(&outcome.peer)] += 1;
        self.restore[place(&outcome.restore)] += 1;
    }

    fn json(&self) -> serde_json::Value {
        let verdicts = |counts: &[u64; 4]| {
            serde_json::json!({ "agreed": counts[0], "refused": counts[1],
                "inconclusive": counts[2], "not_applicable": counts[3] })
        };
        serde_json::json!({ "seeds": self.seeds, "calls": self.calls, "returned": self.returned, "peer": verdicts(&self.peer),
            "restore": verdicts(&self.restore), "disagreements": self.disagreements })
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { seeds, calls, returned, peer, restore, disagreements } = self;
        writeln!(
            f,
            "{seeds} seeds, {calls} calls, {returned} returned, {} disagreements",
            disagreements.len()
        )?;
        for (name, counts) in [("wfaas = peer", peer), ("restored = fresh", restore)] {
            let [agreed, refused, inconclusive, not_applicable] = counts;
            writeln!(
                f,
                "{name:<18}{agreed} agreed, {refused} refused, {inconclusive} inconclusive, \
                 {not_applicable} not applicable"
            )?;
        }
        Ok(())
    }
}

fn place(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Agreed => 0,
        Verdict::Refused(_) => 1,
        Verdict::Inconclusive(_) => 2,
        Verdict::NotApplicable => 3,
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let choice = match &arguments.features {
        Some(names) => Choice::named(names.split(',').filter(|name| !name.is_empty())),
        None => Ok(Choice::all()),
    };
    let mut choice = choice.map_err(anyhow::Error::msg)?;
    if let Some(strategy) = arguments.bounds {
        choice = choice.with_bounds(strategy);
    }
    let range = arguments.seeds.clone().unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let first = now.as_secs() << 24;
        first..u64::MAX
    });
    eprintln!("seeds from {}, features: {}", range.start, choice.names());
    let counts = run(&arguments, range, &choice);
    let mut out = std::io::stdout().lock();
    match arguments.json {
        true => writeln!(out, "{}", counts.json())?,
        false => write!(out, "{counts}")?,
    }
    Ok(if counts.disagreements.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks the seeds, on as many threads as asked for.
fn run(arguments: &Arguments, range: Range<u64>, choice: &Choice) -> Counts {
    let next = AtomicU64::new(range.start);
    let counts = Mutex::new(Counts::default());
    let start = Instant::now();
    let in_time = || arguments.seconds.is_none_or(|most| start.elapsed().as_secs() < most);
    let job = || {
        while in_time() {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= range.end {
                break;
            }
            if arguments.trace {
                eprintln!("seed {seed}");
            }
            let result = run_seed(seed, choice);
            let mut counts = counts.lock().expect("no job panics while it holds the lock");
            counts.seeds += 1;
            match result {
                Ok(outcome) => counts.add(&outcome),
                Err(wrong) => {
                    report(seed, &wrong, arguments, choice);
                    counts.disagreements.push((seed, wrong.what));
                }
            }
            if counts.seeds.is_multiple_of(1000) {
                progress(&counts, start.elapsed());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(job);
        }
    });
    counts.into_inner().expect("no job panics while it holds the lock")
}

fn progress(counts: &Counts, elapsed: Duration) {
    let rate = counts.seeds as f64 / elapsed.as_secs_f64();
    let wrong = counts.disagreements.len();
    eprintln!("{} seeds, {rate:.0} a second, {wrong} disagreements", counts.seeds);
}

/// Says what is wrong, and how to see it again.
fn report(seed: u64, wrong: &Disagreement, arguments: &Arguments, choice: &Choice) {
    let out = &arguments.out;
    let bounds = arguments.bounds.map(|strategy| format!(" --bounds {}", strategy.name()));
    let file = out.join(format!("{seed}.wasm"));
    let written = std::fs::create_dir_all(out).and_then(|()| std::fs::write(&file, &wrong.wasm));
    let file = match written {
        Ok(()) => file.display().to_string(),
        Err(error) => format!("could not be written: {error}"),
    };
    eprintln!(
        "seed {seed}: {wrong}\n  module: {file}\n  again: wfaas-differential --seeds {seed} \
         --features '{}'{}",
        choice.names(),
        bounds.unwrap_or_default()
    );
}
