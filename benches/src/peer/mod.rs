//! wasmtime, tuned as well as it can be, and as it comes, in two releases.
//!
//! Neither release is the faster one everywhere: on some kernels the page scan of 50 finds far more
//! pages than the one of 48. So a row that measures instances or calls has the fastest of both
//! releases and a handful of tunings as its peer, found by a trial, and says which it was.

#[macro_use]
mod release;

use crate::timing::{SHORT, Side, interleave, percentile};

release!(latest, wasmtime, "50.0.1");
release!(lts, wasmtime_lts, "48.0.8");

/// The newest release's, for benches that measure neither instances nor calls.
pub(crate) use latest::{Peer, default_engine, deserialize, one_shot_engine, pooling_engine};

/// How a pool keeps memories.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    /// Bytes at the start of a memory that are kept and restored, instead of being given back.
    resident: usize,
    /// Whether the kernel is asked which pages were written to.
    scan: bool,
}

/// The tunings that are tried for a row of `start`.
const TUNINGS: [Tuning; 7] = [
    Tuning { resident: 0, scan: false },
    Tuning { resident: 64 << 10, scan: false },
    Tuning { resident: 64 << 10, scan: true },
    Tuning { resident: 1 << 20, scan: false },
    Tuning { resident: 1 << 20, scan: true },
    Tuning { resident: 32 << 20, scan: false },
    TUNED,
];

/// Resident as far as any workload needs, reset by asking the kernel which pages were written to.
const TUNED: Tuning = Tuning { resident: 32 << 20, scan: true };

/// Rounds of a trial.
const TRIAL: usize = 5;

/// A compiled module that answers requests.
pub(crate) trait Requests: Sync {
    /// As many requests with different arguments: a store, an instance, a call, and all dropped.
    fn requests(&self, first: u64, count: u64) -> anyhow::Result<()>;

    /// The result of one.
    fn request(&self, argument: i32) -> anyhow::Result<i32>;
}

/// An instance that is called again and again.
pub(crate) trait Calls {
    /// Calls the export `empty` so often.
    fn empty(&mut self, count: u64) -> anyhow::Result<()>;
    /// Calls an export that repeats something so often.
    fn repeat(&mut self, export: &str, count: u64) -> anyhow::Result<()>;
    /// Has a guest trap so often, that many frames deep.
    fn trap(&mut self, depth: i32, count: u64) -> anyhow::Result<()>;
}

/// A peer with the name of its release and tuning.
pub(crate) struct Named<P> {
    pub(crate) name: String,
    pub(crate) peer: P,
}

impl std::fmt::Display for Tuning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.resident {
            0 => f.write_str("nothing resident")?,
            bytes if bytes < 1 << 20 => write!(f, "{} KiB resident", bytes >> 10)?,
            bytes => write!(f, "{} MiB resident", bytes >> 20)?,
        }
        f.write_str(if self.scan { ", scan" } else { "" })
    }
}

/// The release and tuning that answers requests fastest.
pub(crate) fn fastest(wasm: &[u8]) -> anyhow::Result<Named<Box<dyn Requests>>> {
    let mut candidates: Vec<Named<Box<dyn Requests>>> = Vec::new();
    for tuning in TUNINGS {
        candidates.push(latest::requests(tuning, wasm)?);
        candidates.push(lts::requests(tuning, wasm)?);
    }
    let medians = trial(candidates.iter_mut().map(|candidate| {
        let peer = &candidate.peer;
        move |count| peer.requests(0, count)
    }))?;
    Ok(candidates.swap_remove(least(&medians)))
}

/// Instances of both releases that import `host.nop` and the exports of the module `other`.
pub(crate) fn callers(
    wasm: &[u8],
    other: Option<&[u8]>,
) -> anyhow::Result<Vec<Named<Box<dyn Calls>>>> {
    Ok(vec![latest::calls(wasm, other)?, lts::calls(wasm, other)?])
}

/// Instances of both releases that import the async functions `host.ready` and `host.pending`.
pub(crate) fn async_callers(wasm: &[u8]) -> anyhow::Result<Vec<Named<Box<dyn Calls>>>> {
    Ok(vec![latest::async_calls(wasm)?, lts::async_calls(wasm)?])
}

/// Which of these is the fastest at `operation`.
pub(crate) fn fastest_caller(
    callers: &mut [Named<Box<dyn Calls>>],
    operation: impl Fn(&mut dyn Calls, u64) -> anyhow::Result<()>,
) -> anyhow::Result<&mut Named<Box<dyn Calls>>> {
    let medians = trial(callers.iter_mut().map(|caller| {
        let operation = &operation;
        move |count| operation(&mut *caller.peer, count)
    }))?;
    Ok(&mut callers[least(&medians)])
}

/// The median times, side by side.
fn trial<S: FnMut(u64) -> anyhow::Result<()>>(
    sides: impl Iterator<Item = S>,
) -> anyhow::Result<Vec<f64>> {
    let mut sides: Vec<S> = sides.collect();
    let mut sides: Vec<Side<'_>> = sides.iter_mut().map(|side| side as Side<'_>).collect();
    let times = interleave(TRIAL, SHORT, &mut sides)?;
    Ok(times.iter().map(|times| percentile(times, 50)).collect())
}

/// The index of the least number.
fn least(numbers: &[f64]) -> usize {
    let indices = 0..numbers.len();
    indices.min_by(|a, b| numbers[*a].total_cmp(&numbers[*b])).unwrap_or(0)
}
