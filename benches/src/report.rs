//! Timing, medians, tables and JSON.

use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// One line of results. Times are nanoseconds for one operation.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ours_ns: f64,
    pub(crate) ours_p99_ns: f64,
    pub(crate) peer_ns: f64,
    pub(crate) peer_p99_ns: f64,
    /// Median over the rounds of ours / peer.
    pub(crate) ratio: f64,
    /// The peer without tuning, where it was measured.
    pub(crate) peer_default_ns: Option<f64>,
}

/// Something to measure: runs that many operations.
pub(crate) type Side<'a> = &'a mut dyn FnMut(u64) -> anyhow::Result<()>;

/// Measures two sides (and the second without tuning, if given), interleaved.
pub(crate) fn measure(
    name: &str,
    rounds: usize,
    ours: Side<'_>,
    peer: Side<'_>,
    mut peer_default: Option<Side<'_>>,
) -> anyhow::Result<Row> {
    let (our_batch, peer_batch) = (batch(ours)?, batch(peer)?);
    let default_batch = peer_default.as_mut().map(|side| batch(*side)).transpose()?;
    let (mut our_times, mut peer_times, mut default_times) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        our_times.push(time(ours, our_batch)?);
        peer_times.push(time(peer, peer_batch)?);
        if let (Some(side), Some(batch)) = (peer_default.as_mut(), default_batch) {
            default_times.push(time(*side, batch)?);
        }
    }
    let mut ratios: Vec<f64> = our_times.iter().zip(&peer_times).map(|(a, b)| a / b).collect();
    Ok(Row {
        name: name.to_owned(),
        ours_ns: percentile(&mut our_times, 50),
        ours_p99_ns: percentile(&mut our_times, 99),
        peer_ns: percentile(&mut peer_times, 50),
        peer_p99_ns: percentile(&mut peer_times, 99),
        ratio: percentile(&mut ratios, 50),
        peer_default_ns: (!default_times.is_empty()).then(|| percentile(&mut default_times, 50)),
    })
}

/// Nanoseconds for one operation in a batch of `count`.
fn time(side: Side<'_>, count: u64) -> anyhow::Result<f64> {
    let start = Instant::now();
    side(count)?;
    Ok(start.elapsed().as_nanos() as f64 / count as f64)
}

/// A batch that takes about two milliseconds, after warming up.
fn batch(side: Side<'_>) -> anyhow::Result<u64> {
    let mut count = 16;
    loop {
        let start = Instant::now();
        side(count)?;
        if start.elapsed().as_micros() > 2000 {
            return Ok(count);
        }
        count *= 2;
    }
}

/// The value below which `percent` of the values are.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// Prints a table a person can read.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<24} {:>12} {:>12} {:>12} {:>12} {:>8} {:>14}",
        "", "wfaas p50", "p99", "wasmtime p50", "p99", "ratio", "wasmtime plain"
    );
    for row in rows {
        let plain = row.peer_default_ns.map_or("-".into(), nanos);
        println!(
            "{:<24} {:>12} {:>12} {:>12} {:>12} {:>8.3} {:>14}",
            row.name,
            nanos(row.ours_ns),
            nanos(row.ours_p99_ns),
            nanos(row.peer_ns),
            nanos(row.peer_p99_ns),
            row.ratio,
            plain
        );
    }
}

fn nanos(value: f64) -> String {
    if value < 10_000.0 { format!("{value:.1} ns") } else { format!("{:.1} µs", value / 1000.0) }
}

/// Writes `{"rows": [...]}`.
pub(crate) fn write_json(rows: &[Row], file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&serde_json::json!({ "rows": rows }))?;
    std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))
}
