//! `density`: what many live faaslets take, and what there is no more of when one is refused.

mod waiting;

use crate::child::{self, Who};
use crate::peer::{Peer, pooling_engine};
use crate::procfs::{Usage, largest_hole, max_map_count};
use crate::start::Ours;
use crate::timing::percentile;
use crate::workload;
use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use wfaas_abi::layout::{SLOT_ALIGN, SLOT_BYTES};

/// One side's result: of each instance, what it adds to the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Density {
    name: String,
    /// How many were asked for, and how many there were.
    wanted: u64,
    live: u64,
    resident_kib: f64,
    /// Of those, in pages that nobody else maps.
    private_kib: f64,
    page_tables_kib: f64,
    mappings: f64,
    /// Of the whole process, at the end.
    total: Usage,
    /// From the moment when it is woken to its answer, if that was measured.
    wake: Option<Wake>,
    /// Why there are not more, if there are fewer than asked for.
    stopped: Option<String>,
}

/// Microseconds to wake one of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wake {
    median: f64,
    p99: f64,
}

impl Wake {
    /// Of these microseconds.
    fn of(micros: &[f64]) -> Wake {
        Wake { median: percentile(micros, 50), p99: percentile(micros, 99) }
    }
}

/// Requests that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Waiting {
    /// To a command, each with a stack.
    Asleep,
    /// To a service, each by its callback, for a clock.
    Callback,
    /// The same, parked as a server does that has few slots left.
    BySlots,
    /// To a service, for their bodies.
    Body,
    /// The same, parked.
    Parked,
}

/// Measures both sides, each in a process of its own.
pub(crate) fn run(count: u64) -> anyhow::Result<Vec<Density>> {
    let measure = |who: Who, count: u64, more: &[&str]| {
        let count = count.to_string();
        let arguments = [&["density-of", who.name(), "--count", &count], more].concat();
        let printed = child::run(&arguments)?;
        serde_json::from_str(&printed).context("what the other process printed")
    };
    let waiting = |count, which| measure(Who::Ours, count, &["--waiting", which]);
    Ok(vec![
        measure(Who::Ours, count, &[])?,
        measure(Who::Peer, count, &[])?,
        waiting(count.min(MAX_SLEEPERS), "asleep")?,
        waiting(count, "callback")?,
        waiting(count, "by-slots")?,
        waiting(count, "body")?,
        waiting(2 * count, "parked")?,
    ])
}

/// Most guests that sleep: each has a stack, which is a mapping of its own.
const MAX_SLEEPERS: u64 = 10_000;

/// The hidden command: measures one side in this process, and prints JSON.
pub(crate) fn child(who: Who, count: u64, waiting: Option<Waiting>) -> anyhow::Result<()> {
    let density = match waiting {
        Some(Waiting::Asleep) => waiting::asleep(count)?,
        Some(Waiting::Callback) => waiting::by_callback(count)?,
        Some(Waiting::BySlots) => waiting::by_slots(count)?,
        Some(Waiting::Body) => waiting::for_bodies(count)?,
        Some(Waiting::Parked) => waiting::parked(count)?,
        None => faaslets(who, count)?,
    };
    println!("{}", serde_json::to_string(&density)?);
    Ok(())
}

/// Faaslets that were called once, and are kept.
fn faaslets(who: Who, count: u64) -> anyhow::Result<Density> {
    let hello = workload::all().swap_remove(0);
    let wasm = wat::parse_str(&hello.wat)?;
    Ok(match who {
        Who::Nobody => anyhow::bail!("nobody has no faaslets"),
        Who::Ours => {
            let ours = Ours::new(&wasm)?;
            fill("wfaas", count, |argument| {
                let mut faaslet = ours.pool.acquire(())?;
                faaslet.call(&ours.run, argument)?;
                Ok(faaslet)
            })?
            .0
        }
        Who::Peer => {
            let slots = u32::try_from(count)?;
            // With fewer slots if it cannot reserve that many.
            let engines = (1..=8).rev().map(|eighths| pooling_engine(slots / 8 * eighths));
            let engine = engines.into_iter().find_map(Result::ok);
            let peer = Peer::new(engine.context("no pool of wasmtime's is small enough")?, &wasm)?;
            fill("wasmtime", count, |argument| Ok(peer.live(argument)?.0))?.0
        }
    })
}

/// Makes `count` instances that stay alive, or as many as there can be.
fn fill<T>(
    name: &str,
    count: u64,
    mut make: impl FnMut(i32) -> anyhow::Result<T>,
) -> anyhow::Result<(Density, Vec<T>)> {
    let mut live = Vec::with_capacity(count as usize);
    live.push(make(0)?);
    let before = Usage::now()?;
    let mut stopped = None;
    while (live.len() as u64) < count {
        match make(live.len() as i32) {
            Ok(instance) => live.push(instance),
            Err(error) => {
                stopped = Some(format!("{error:#}; {}", shortage()?));
                break;
            }
        }
    }
    let total = Usage::now()?;
    let added = (live.len() - 1).max(1) as f64;
    let each = |number: fn(&Usage) -> u64| (number(&total) as f64 - number(&before) as f64) / added;
    let density = Density {
        name: name.to_owned(),
        wanted: count,
        live: live.len() as u64,
        resident_kib: each(|usage| usage.resident_kib),
        private_kib: each(|usage| usage.private_kib),
        page_tables_kib: each(|usage| usage.page_tables_kib),
        mappings: each(|usage| usage.mappings),
        total,
        wake: None,
        stopped,
    };
    Ok((density, live))
}

/// What there is no more of.
fn shortage() -> anyhow::Result<String> {
    let (mappings, allowed) = (Usage::now()?.mappings, max_map_count()?);
    let hole = largest_hole()?;
    // The kernel counts before it splits and merges, and one slot takes several mappings.
    Ok(if mappings + 16 > allowed {
        format!("{mappings} mappings, and the sysctl vm.max_map_count allows {allowed}")
    } else if hole < SLOT_BYTES + SLOT_ALIGN {
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        format!(
            "the largest hole in the address space has {:.2} GiB, and reserving a slot takes {:.2}",
            gib(hole),
            gib(SLOT_BYTES + SLOT_ALIGN)
        )
    } else {
        format!("{mappings} of {allowed} mappings, and there are addresses left")
    })
}

/// Prints a table a person can read.
pub(crate) fn print(rows: &[Density]) {
    println!(
        "{:<10} {:>8} {:>14} {:>14} {:>16} {:>10}",
        "each", "live", "resident KiB", "private KiB", "page tables KiB", "mappings"
    );
    for row in rows {
        println!(
            "{:<10} {:>8} {:>14.1} {:>14.1} {:>16.1} {:>10.2}",
            row.name,
            row.live,
            row.resident_kib,
            row.private_kib,
            row.page_tables_kib,
            row.mappings
        );
    }
    for Density { name, live, wake, .. } in rows {
        if let Some(Wake { median, p99 }) = wake {
            println!(
                "{name}: one of {live} answers {median:.1} µs after it is woken (p99 {p99:.1})"
            );
        }
    }
    for row in rows {
        if let Some(reason) = &row.stopped {
            println!("{} stopped at {} of {}: {reason}", row.name, row.live, row.wanted);
        }
    }
}
