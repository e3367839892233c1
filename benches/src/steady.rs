//! `steady`: requests of ours and nothing else, for `strace` and `perf` to look at.

use crate::procfs::Counters;
use crate::start::Ours;
use crate::workload;
use std::time::Instant;

/// Requests before it counts as steady: far more than a slot needs to learn.
const WARM_UP: u64 = 1000;

/// Serves `count` requests of one workload, and says how many page faults there were.
pub(crate) fn run(name: &str, count: u64) -> anyhow::Result<()> {
    let workload = workload::all().into_iter().find(|workload| workload.name == name);
    let Some(workload) = workload else { anyhow::bail!("there is no workload {name:?}") };
    let ours = Ours::new(&wat::parse_str(&workload.wat)?)?;
    ours.requests(0, WARM_UP)?;
    Counters::now()?; // the first look at /proc may fault itself
    let (before, start) = (Counters::now()?, Instant::now());
    ours.requests(0, count)?;
    let elapsed = start.elapsed();
    let faults = Counters::now()?.since(before).minor_faults;
    let nanos = elapsed.as_nanos() as f64 / count as f64;
    println!("{count} requests, {nanos:.1} ns each, {faults} page faults");
    Ok(())
}
