//! Instructions of a server for a request, counted by callgrind: those in user space. Faaslets are
//! reset by discarding their pages, since valgrind knows no faults that a handler makes good; and
//! wasmtime's pool does not start there.

use super::server::{Server, Side};
use super::{Row, SETUPS, Setup, row};
use anyhow::Context;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

/// How many requests warm a server up, and how many are counted.
const WARM: u64 = 2000;
const COUNTED: u64 = 2000;

/// The rows of one count, and the folder of its profiles.
pub(super) struct Counting<'a> {
    /// Ours, its peer, and what stands behind the names of their rows.
    pub(super) sides: &'a [(Side, Side, &'static str)],
    /// Only rows with this in their names.
    pub(super) only: &'a str,
    /// Where callgrind's files stay.
    pub(super) profiles: Option<&'a Path>,
    /// The component of the servers that have one.
    pub(super) component: Option<&'a Path>,
}

impl Counting<'_> {
    /// Rows `instructions_…`.
    pub(super) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let folder = tempfile::tempdir()?;
        let folder = self.profiles.unwrap_or(folder.path());
        let mut rows = Vec::new();
        for setup in SETUPS {
            let name = format!("instructions_{}", setup.name);
            if !name.contains(self.only) {
                continue;
            }
            eprintln!("{name}");
            let mut counted = HashMap::new();
            for (ours, peer, end) in self.sides {
                let mut of = |side: Side| match counted.entry(side.name()) {
                    Entry::Occupied(known) => anyhow::Ok(*known.get()),
                    Entry::Vacant(new) => Ok(*new.insert(self.of_request(side, setup, folder)?)),
                };
                rows.push(row(format!("{name}{end}"), &[of(*ours)?], &[of(*peer)?]));
            }
        }
        anyhow::ensure!(!rows.is_empty(), "no row's name contains {:?}", self.only);
        Ok(rows)
    }

    fn of_request(&self, side: Side, setup: Setup, folder: &Path) -> anyhow::Result<f64> {
        let few = self.count(side, setup, WARM, folder)?;
        let many = self.count(side, setup, WARM + COUNTED, folder)?;
        Ok(many.saturating_sub(few) as f64 / COUNTED as f64)
    }

    /// Instructions of a server from its start to its end, with so many requests in between.
    fn count(&self, side: Side, setup: Setup, requests: u64, folder: &Path) -> anyhow::Result<u64> {
        let out = folder.join(format!("callgrind.{}.{}", setup.name, side.name()));
        let option = format!("--callgrind-out-file={}", out.display());
        let command = ["valgrind", "--log-file=/dev/null", "--tool=callgrind", &option];
        let server = Server::start_counted(side, &command, self.component)?;
        setup.connect(&server)?.count(requests)?;
        drop(server);
        let text = std::fs::read_to_string(&out).context("valgrind has counted nothing")?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.context("valgrind has no total")?.trim().parse()?)
    }
}
