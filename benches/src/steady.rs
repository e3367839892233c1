//! `steady`: requests of ours and nothing else, for `strace` and `perf` to look at.

use crate::procfs::minor_faults;
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
    minor_faults()?; // the first look at /proc may fault itself
    let (faults, start) = (minor_faults()?, Instant::now());
    ours.requests(0, count)?;
    let elapsed = start.elapsed();
    let faults = minor_faults()? - faults;
    let nanos = elapsed.as_nanos() as f64 / count as f64;
    println!("{count} requests, {nanos:.1} ns each, {faults} page faults");
    Ok(())
}
