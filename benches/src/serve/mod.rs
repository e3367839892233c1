//! `serve`: a server that answers each request in a pristine instance, beside one that only answers.
//!
//! All servers run at the same time on the first processor, each a process; the load comes from the
//! second one. In a round each gets requests for a while, one after the other, so that a disturbance
//! of the machine disturbs all of them; a ratio is the median over the rounds of ours / plain.

mod component;
pub(crate) mod components;
mod guest;
mod instructions;
mod load;
mod plain;
mod server;
mod wire;

pub(crate) use server::{Side, child};

use crate::machine::{pin, processors};
use crate::timing::{median_ratio, percentile};
use anyhow::ensure;
use instructions::Counting;
use load::{Load, Sample};
use serde::Serialize;
use server::Server;
use std::path::PathBuf;
use std::time::Duration;
use wire::{Http1, Http2, Wire};

/// Rows and rounds to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds that a server is asked in each round.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
    /// Only rows with this in their names.
    #[arg(long, default_value = "")]
    only: String,
    /// A look: three rounds of a fifth of a second.
    #[arg(long)]
    quick: bool,
    /// Counts instructions for a request with valgrind, and measures no time.
    #[arg(long)]
    instructions: bool,
    /// Where callgrind's files stay, for `callgrind_annotate`.
    #[arg(long, value_name = "FOLDER", requires = "instructions")]
    profiles: Option<PathBuf>,
}

/// A protocol and a number of connections.
#[derive(Debug, Clone, Copy)]
struct Setup {
    name: &'static str,
    connections: usize,
    http2: bool,
}

const SETUPS: [Setup; 4] = [
    Setup { name: "h1_c1", connections: 1, http2: false },
    Setup { name: "h1_c32", connections: 32, http2: false },
    Setup { name: "h1_c256", connections: 256, http2: false },
    Setup { name: "h2_c32", connections: 32, http2: true },
];

/// The setup that is measured at half of the plain server's highest rate too.
const OPEN: Setup = SETUPS[1];

/// Ours, and what stands behind the names of its rows.
const OURS: [(Side, Side, &str); 3] = [
    (Side::Ours, Side::Plain, ""),
    (Side::Ours, Side::Wasmtime, "_wasmtime"),
    (Side::Logged, Side::Plain, "_log"),
];

/// The same of those that run under valgrind.
const COUNTED: [(Side, Side, &str); 2] = [OURS[2], OURS[0]];

const SIDES: [Side; 4] = [Side::Plain, Side::Ours, Side::Wasmtime, Side::Logged];

/// A number of both sides: requests a second (`rps`), microseconds of processor time for one
/// request (`cpu`), or microseconds from its due time to its answer (`p50`, `p99`, `p999`).
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: String,
    ours: f64,
    peer: f64,
    /// Median over the rounds of ours / peer.
    ratio: f64,
    /// The first and the third quartile of the rounds' ratios.
    #[serde(skip)]
    quartiles: (f64, f64),
}

/// One number for each round.
type Rounds = Vec<f64>;

impl Setup {
    fn connect(self, server: &Server) -> anyhow::Result<Load> {
        let wire: fn() -> Box<dyn Wire> =
            if self.http2 { || Box::<Http2>::default() } else { || Box::new(Http1) };
        Load::connect(server.address, self.connections, wire)
    }
}

/// Measures all rows.
pub(crate) fn run(arguments: &Arguments, rounds: usize) -> anyhow::Result<Vec<Row>> {
    if arguments.instructions {
        let (only, profiles) = (arguments.only.as_str(), arguments.profiles.as_deref());
        return Counting { sides: &COUNTED, only, profiles, component: None }.rows();
    }
    ensure!(processors() > 1, "servers and load need a processor each");
    let (rounds, seconds) = if arguments.quick { (3, 0.2) } else { (rounds, arguments.seconds) };
    let time = Duration::from_secs_f64(seconds);
    let servers = SIDES.map(Server::start);
    let mut servers = servers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    pin(1)?;
    let mut rows = Vec::new();
    for setup in SETUPS {
        let (wants_rate, wants_time) =
            (arguments.wants("rps", setup), arguments.wants("cpu", setup));
        if wants_rate || wants_time {
            eprintln!("{}: {rounds} rounds", setup.name);
            let [rates, times] = closed(&mut servers, setup, rounds, time)?;
            rows.extend(rows_of(&format!("rps_{}", setup.name), &rates));
            rows.extend(rows_of(&format!("cpu_{}", setup.name), &times));
        }
    }
    if ["p50", "p99", "p999"].iter().any(|name| arguments.wants(name, OPEN)) {
        eprintln!("{} at half of the rate: {rounds} rounds", OPEN.name);
        for (name, times) in ["p50", "p99", "p999"].iter().zip(open(&mut servers, rounds, time)?) {
            rows.extend(rows_of(&format!("{name}_{}", OPEN.name), &times));
        }
    }
    rows.retain(|row| row.name.contains(&arguments.only));
    ensure!(!rows.is_empty(), "no row's name contains {:?}", arguments.only);
    Ok(rows)
}

impl Arguments {
    fn wants(&self, number: &str, setup: Setup) -> bool {
        let name = format!("{number}_{}", setup.name);
        OURS.iter().any(|(.., suffix)| format!("{name}{suffix}").contains(&self.only))
    }
}

/// Requests a second and microseconds of processor time for one, of each server in each round.
fn closed(
    servers: &mut [Server],
    setup: Setup,
    rounds: usize,
    time: Duration,
) -> anyhow::Result<[Vec<Rounds>; 2]> {
    let mut loads = connect(servers, setup)?;
    let (mut rates, mut times) = (vec![Vec::new(); servers.len()], vec![Vec::new(); servers.len()]);
    for _ in 0..rounds {
        for (index, (server, load)) in servers.iter_mut().zip(&mut loads).enumerate() {
            let before = server.processor_time()?;
            let Sample { answers, rate, .. } = load.closed(time)?;
            let took = server.processor_time()? - before;
            rates[index].push(rate);
            times[index].push(took.as_secs_f64() * 1e6 / answers as f64);
        }
    }
    Ok([rates, times])
}

/// Microseconds until an answer, of each server in each round: medians, and two percentiles more.
fn open(servers: &mut [Server], rounds: usize, time: Duration) -> anyhow::Result<[Vec<Rounds>; 3]> {
    let mut loads = connect(servers, OPEN)?;
    let mut highest = 0.0_f64;
    for _ in 0..3 {
        highest = highest.max(loads[0].closed(time)?.rate);
    }
    let mut percentiles = [(); 3].map(|()| vec![Vec::new(); servers.len()]);
    for _ in 0..rounds {
        for (index, load) in loads.iter_mut().enumerate() {
            let mut nanos = load.open(highest / 2.0, time)?.nanos;
            nanos.sort_by(f64::total_cmp);
            for (per_mille, times) in [500, 990, 999].into_iter().zip(&mut percentiles) {
                let place = (nanos.len() * per_mille / 1000).min(nanos.len().saturating_sub(1));
                times[index].push(nanos.get(place).copied().unwrap_or(f64::NAN) / 1e3);
            }
        }
    }
    Ok(percentiles)
}

/// Connections to all servers, warmed up.
fn connect(servers: &[Server], setup: Setup) -> anyhow::Result<Vec<Load>> {
    let mut loads = Vec::new();
    for server in servers {
        let mut load = setup.connect(server)?;
        load.count(2000)?;
        loads.push(load);
    }
    Ok(loads)
}

/// The rows that compare ours with its peers.
fn rows_of<'a>(name: &'a str, rounds: &'a [Rounds]) -> impl Iterator<Item = Row> + 'a {
    let of = |side: Side| &rounds[SIDES.iter().position(|other| *other == side).unwrap_or(0)];
    OURS.iter()
        .map(move |(ours, peer, suffix)| row(format!("{name}{suffix}"), of(*ours), of(*peer)))
}

fn row(name: String, ours: &[f64], peer: &[f64]) -> Row {
    let ratios: Vec<f64> = ours.iter().zip(peer).map(|(ours, peer)| ours / peer).collect();
    Row {
        name,
        ours: percentile(ours, 50),
        peer: percentile(peer, 50),
        ratio: median_ratio(ours, peer),
        quartiles: (percentile(&ratios, 25), percentile(&ratios, 75)),
    }
}

/// Prints a table a person can read.
pub(crate) fn print(rows: &[Row]) {
    println!("{:<24} {:>12} {:>12} {:>8}  quartiles", "", "wfaas", "peer", "ratio");
    for Row { name, ours, peer, ratio, quartiles: (first, third) } in rows {
        println!("{name:<24} {ours:>12.1} {peer:>12.1} {ratio:>8.3}  {first:.3} to {third:.3}");
    }
}
