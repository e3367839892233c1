//! Tables for people and JSON.

use crate::timing::{Batch, SHORT, Side, interleave, median_ratio, percentile};
use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// One line of results. Times are nanoseconds for one operation.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Release and tuning of the peer, where several were tried.
    pub(crate) peer: Option<String>,
    pub(crate) ours_ns: f64,
    pub(crate) ours_p99_ns: f64,
    pub(crate) peer_ns: f64,
    pub(crate) peer_p99_ns: f64,
    /// Median over the rounds of ours / peer.
    pub(crate) ratio: f64,
    /// The peer without tuning, where it was measured.
    pub(crate) peer_default_ns: Option<f64>,
    /// Throughput of two threads over that of one, where two were measured.
    pub(crate) ours_scaling: Option<f64>,
    pub(crate) peer_scaling: Option<f64>,
}

impl Row {
    fn new(name: &str, ours: &[f64], peer: &[f64]) -> Row {
        Row {
            name: name.to_owned(),
            peer: None,
            ours_ns: percentile(ours, 50),
            ours_p99_ns: percentile(ours, 99),
            peer_ns: percentile(peer, 50),
            peer_p99_ns: percentile(peer, 99),
            ratio: median_ratio(ours, peer),
            peer_default_ns: None,
            ours_scaling: None,
            peer_scaling: None,
        }
    }

    /// Times of an operation that only we have.
    pub(crate) fn alone(name: &str, ours: &[f64]) -> Row {
        let nobody = vec![f64::NAN; ours.len()];
        Row { ratio: f64::NAN, ..Row::new(name, ours, &nobody) }
    }

    /// The same, with the release and tuning of the peer.
    pub(crate) fn with_peer(self, name: &str) -> Row {
        Row { peer: Some(name.to_owned()), ..self }
    }
}

/// Measures an operation that only we have.
pub(crate) fn measure_alone<'a>(name: &str, rounds: usize, ours: Side<'a>) -> anyhow::Result<Row> {
    let times = interleave(rounds, SHORT, &mut [ours])?;
    Ok(Row::alone(name, &times[0]))
}

/// Measures two sides (and the second without tuning, if given), interleaved.
pub(crate) fn measure<'a>(
    name: &str,
    rounds: usize,
    ours: Side<'a>,
    peer: Side<'a>,
    peer_default: Option<Side<'a>>,
) -> anyhow::Result<Row> {
    let mut sides = vec![ours, peer];
    sides.extend(peer_default);
    let times = interleave(rounds, SHORT, &mut sides)?;
    let mut row = Row::new(name, &times[0], &times[1]);
    row.peer_default_ns = times.get(2).map(|times| percentile(times, 50));
    Ok(row)
}

/// Measures two sides whose operations take long.
pub(crate) fn measure_in<'a>(
    batch: Batch,
    name: &str,
    rounds: usize,
    ours: Side<'a>,
    peer: Side<'a>,
) -> anyhow::Result<Row> {
    let times = interleave(rounds, batch, &mut [ours, peer])?;
    Ok(Row::new(name, &times[0], &times[1]))
}

/// Measures two sides on one thread and on two (`[one, two]`); the row is that of two.
pub(crate) fn measure_scaling<'a>(
    batch: Batch,
    name: &str,
    rounds: usize,
    ours: [Side<'a>; 2],
    peer: [Side<'a>; 2],
) -> anyhow::Result<Row> {
    let ([ours_one, ours_two], [peer_one, peer_two]) = (ours, peer);
    let times = interleave(rounds, batch, &mut [ours_one, ours_two, peer_one, peer_two])?;
    let mut row = Row::new(name, &times[1], &times[3]);
    row.ours_scaling = Some(median_ratio(&times[0], &times[1]));
    row.peer_scaling = Some(median_ratio(&times[2], &times[3]));
    Ok(row)
}

/// Prints a table a person can read.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<24} {:>12} {:>12} {:>12} {:>12} {:>8} {:>14} {:>16}  peer",
        "",
        "wfaas p50",
        "p99",
        "wasmtime p50",
        "p99",
        "ratio",
        "wasmtime plain",
        "scaling (theirs)"
    );
    for row in rows {
        let plain = row.peer_default_ns.map_or("-".into(), nanos);
        let scaling = match (row.ours_scaling, row.peer_scaling) {
            (Some(ours), Some(peer)) => format!("{ours:.2} ({peer:.2})"),
            _ => "-".into(),
        };
        println!(
            "{:<24} {:>12} {:>12} {:>12} {:>12} {:>8.3} {:>14} {:>16}  {}",
            row.name,
            nanos(row.ours_ns),
            nanos(row.ours_p99_ns),
            nanos(row.peer_ns),
            nanos(row.peer_p99_ns),
            row.ratio,
            plain,
            scaling,
            row.peer.as_deref().unwrap_or("50.0.1")
        );
    }
}

fn nanos(value: f64) -> String {
    match value {
        _ if value < 1e4 => format!("{value:.1} ns"),
        _ if value < 1e7 => format!("{:.1} µs", value / 1e3),
        _ => format!("{:.1} ms", value / 1e6),
    }
}

/// Writes `{"rows": [...]}`.
pub(crate) fn write_json(rows: &impl Serialize, file: &Path) -> anyhow::Result<()> {
    write_value(&serde_json::json!({ "rows": rows }), file)
}

/// Writes anything as JSON.
pub(crate) fn write_value(value: &impl Serialize, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))
}
