//! `density`: what many live faaslets take, and what there is no more of when one is refused.

mod waiting;

use crate::child::{self, Who};
use crate::peer::{Peer, pooling_engine};
use crate::procfs::{Usage, largest_hole, max_map_count};
use crate::start::Ours;
use crate::workload;
use anyhow::Context;
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
    /// Why there are not more, if there are fewer than asked for.
    stopped: Option<String>,
}

/// Measures both sides, each in a process of its own.
pub(crate) fn run(count: u64) -> anyhow::Result<Vec<Density>> {
    let measure = |who: Who, count: u64, more: &[&str]| {
        let count = count.to_string();
        let arguments = [&["density-of", who.name(), "--count", &count], more].concat();
        let printed = child::run(&arguments)?;
        serde_json::from_str(&printed).context("what the other process printed")
    };
    let sleepers = measure(Who::Ours, count.min(MAX_SLEEPERS), &["--asleep"])?;
    let waiters = measure(Who::Ours, count, &["--by-callback"])?;
    Ok(vec![measure(Who::Ours, count, &[])?, measure(Who::Peer, count, &[])?, sleepers, waiters])
}

/// Most guests that sleep: each has a stack, which is a mapping of its own.
const MAX_SLEEPERS: u64 = 10_000;

/// The hidden command for requests that wait, with a stack each or by a callback.
pub(crate) fn waiting(count: u64, by_callback: bool) -> anyhow::Result<()> {
    let waiters = match by_callback {
        true => waiting::by_callback(count)?,
        false => waiting::asleep(count)?,
    };
    println!("{}", serde_json::to_string(&waiters)?);
    Ok(())
}

/// The hidden command: measures one side in this process, and prints JSON.
pub(crate) fn child(who: Who, count: u64) -> anyhow::Result<()> {
    let hello = workload::all().swap_remove(0);
    let wasm = wat::parse_str(&hello.wat)?;
    let density = match who {
        Who::Nobody => anyhow::bail!("nobody has no faaslets"),
        Who::Ours => {
            let ours = Ours::new(&wasm)?;
            fill("wfaas", count, |argument| {
                let mut faaslet = ours.pool.acquire(())?;
                faaslet.call(&ours.run, argument)?;
                Ok(faaslet)
            })?
        }
        Who::Peer => {
            let slots = u32::try_from(count)?;
            // With fewer slots if it cannot reserve that many.
            let engines = (1..=8).rev().map(|eighths| pooling_engine(slots / 8 * eighths));
            let engine = engines.into_iter().find_map(Result::ok);
            let peer = Peer::new(engine.context("no pool of wasmtime's is small enough")?, &wasm)?;
            fill("wasmtime", count, |argument| Ok(peer.live(argument)?.0))?
        }
    };
    println!("{}", serde_json::to_string(&density)?);
    Ok(())
}

/// Makes `count` instances that stay alive, or as many as there can be.
fn fill<T>(
    name: &str,
    count: u64,
    mut make: impl FnMut(i32) -> anyhow::Result<T>,
) -> anyhow::Result<Density> {
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
    Ok(Density {
        name: name.to_owned(),
        wanted: count,
        live: live.len() as u64,
        resident_kib: each(|usage| usage.resident_kib),
        private_kib: each(|usage| usage.private_kib),
        page_tables_kib: each(|usage| usage.page_tables_kib),
        mappings: each(|usage| usage.mappings),
        total,
        stopped,
    })
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
    for row in rows {
        if let Some(reason) = &row.stopped {
            println!("{} stopped at {} of {}: {reason}", row.name, row.live, row.wanted);
        }
    }
}
