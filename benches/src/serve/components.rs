//! `components`: a component for `wasi:http` through the gateway, beside a reactor there, and beside the same
//! component in wasmtime.

use super::instructions::Counting;
use super::server::{Server, Side};
use super::{Rounds, Row, SETUPS, Setup, closed, component, row};
use crate::machine::{pin, processors};
use anyhow::ensure;
use std::path::PathBuf;
use std::time::Duration;

/// Rows and rounds to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds that a server is asked in each round.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
    /// Another component with the same answer, such as those of `benches/component/`.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Only setups with this in their names.
    #[arg(long, default_value = "")]
    only: String,
    /// Beside the reactor alone: the peer's server is not built.
    #[arg(long)]
    reactor: bool,
    /// Counts instructions for a request with valgrind, beside the reactor, and measures no time.
    #[arg(long)]
    instructions: bool,
    /// Where callgrind's files stay, for `callgrind_annotate`.
    #[arg(long, value_name = "FOLDER", requires = "instructions")]
    profiles: Option<PathBuf>,
}

/// Peers, and the ends of their rows' names.
const PEERS: [(Side, &str); 2] = [REACTOR, (Side::WasiHttp, "_wasmtime")];

const REACTOR: (Side, &str) = (Side::Ours, "_reactor");

/// Measures all rows.
pub(crate) fn run(arguments: &Arguments, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let file = match &arguments.component {
        Some(file) => file.clone(),
        None => {
            component::build()?;
            component::file()
        }
    };
    if arguments.instructions {
        let (only, profiles) = (arguments.only.as_str(), arguments.profiles.as_deref());
        let (reactor, end) = REACTOR;
        let sides = &[(Side::Component, reactor, end)];
        return Counting { sides, only, profiles, component: Some(&file) }.rows();
    }
    ensure!(processors() > 1, "servers and load need a processor each");
    let peers = if arguments.reactor { &PEERS[..1] } else { &PEERS[..] };
    if !arguments.reactor {
        component::build_server()?;
    }
    let sides = [Side::Component].into_iter().chain(peers.iter().map(|(side, _)| *side));
    let servers = sides.map(|side| Server::start_with(side, &file));
    let mut servers = servers.collect::<anyhow::Result<Vec<_>>>()?;
    pin(1)?;
    let time = Duration::from_secs_f64(arguments.seconds);
    let mut rows = Vec::new();
    for setup in SETUPS.into_iter().filter(|setup| setup.name.contains(&arguments.only)) {
        let Setup { name, .. } = setup;
        eprintln!("{name}: {rounds} rounds");
        let [rates, times] = closed(&mut servers, setup, rounds, time)?;
        for (number, sides) in [("rps", rates), ("cpu", times)] {
            let row_beside = |(peer, (_, end)): (&Rounds, &(Side, &str))| {
                row(format!("{number}_{name}{end}"), &sides[0], peer)
            };
            rows.extend(sides[1..].iter().zip(peers).map(row_beside));
        }
    }
    Ok(rows)
}
