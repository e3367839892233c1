//! Instructions of a server for a request, counted by callgrind: those in user space. Faaslets are
//! reset by discarding their pages, since valgrind knows no faults that a handler makes good; and
//! wasmtime's pool does not start there.

use super::server::{Server, Side};
use super::{Row, SETUPS, Setup, row};
use anyhow::Context;
use std::path::Path;

/// How many requests warm a server up, and how many are counted.
const WARM: u64 = 2000;
const COUNTED: u64 = 2000;

/// Rows `instructions_…` with names that contain `only`; `profiles` is where callgrind's files stay.
pub(super) fn rows(only: &str, profiles: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let folder = profiles.unwrap_or(folder.path());
    let mut rows = Vec::new();
    for setup in SETUPS {
        let name = format!("instructions_{}", setup.name);
        if !name.contains(only) {
            continue;
        }
        eprintln!("{name}");
        let [plain, ours, logged] = [Side::Plain, Side::Ours, Side::Logged]
            .map(|side| of_request(side, setup, folder).map(|count| [count]));
        let (plain, ours, logged) = (plain?, ours?, logged?);
        rows.push(row(format!("{name}_log"), &logged, &plain));
        rows.push(row(name, &ours, &plain));
    }
    anyhow::ensure!(!rows.is_empty(), "no row's name contains {only:?}");
    Ok(rows)
}

fn of_request(side: Side, setup: Setup, folder: &Path) -> anyhow::Result<f64> {
    let few = count(side, setup, WARM, folder)?;
    let many = count(side, setup, WARM + COUNTED, folder)?;
    Ok(many.saturating_sub(few) as f64 / COUNTED as f64)
}

/// Instructions of a server from its start to its end, with so many requests in between.
fn count(side: Side, setup: Setup, requests: u64, folder: &Path) -> anyhow::Result<u64> {
    let out = folder.join(format!("callgrind.{}.{}", setup.name, side.name()));
    let option = format!("--callgrind-out-file={}", out.display());
    let command = ["valgrind", "--log-file=/dev/null", "--tool=callgrind", &option];
    let server = Server::start_counted(side, &command)?;
    setup.connect(&server)?.count(requests)?;
    drop(server);
    let text = std::fs::read_to_string(&out).context("valgrind has counted nothing")?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.context("valgrind has no total")?.trim().parse()?)
}
