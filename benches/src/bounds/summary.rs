//! Means over all kernels, and single numbers, out of rows.

use super::guests::Kind;
use super::row::{Results, Row};
use super::setup::Setup;
use crate::timing::geometric;
use clap::ValueEnum;

impl Results {
    /// The setups that were measured, in the order of tables.
    pub(super) fn setups(&self) -> Vec<Setup> {
        let measured = |setup: &Setup| self.rows.iter().any(|row| row.setup == *setup);
        Setup::value_variants().iter().copied().filter(measured).collect()
    }

    /// The numbers of threads that were measured, the least first.
    pub(super) fn threads(&self) -> Vec<u64> {
        let mut threads: Vec<u64> = self.rows.iter().map(|row| row.threads).collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    /// The guests of a kind, in the order they were measured.
    pub(super) fn guests(&self, kind: Kind) -> Vec<&str> {
        let mut names: Vec<&str> = self.of_kind(kind).map(|row| row.guest.as_str()).collect();
        names.dedup();
        names
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }

    /// One row.
    pub(super) fn row(&self, guest: &str, kind: Kind, setup: Setup, threads: u64) -> Option<&Row> {
        let mut rows = self.of_kind(kind);
        rows.find(|row| row.guest == guest && row.setup == setup && row.threads == threads)
    }

    /// The geometric mean, over all guests of a kind, of something of a setup's row.
    pub(super) fn mean(
        &self,
        kind: Kind,
        setup: Setup,
        threads: u64,
        number: impl Fn(&Row) -> Option<f64>,
    ) -> Option<f64> {
        let guests = self.guests(kind);
        let of_guest = |guest: &&str| number(self.row(guest, kind, setup, threads)?);
        geometric(guests.iter().map(of_guest))
    }

    /// The mean of a setup's time over that of `base` in memories that do not grow, on one thread;
    /// by the fastest rounds, which know least of what else the machine does.
    pub(super) fn time_over(&self, kind: Kind, setup: Setup, base: Setup) -> Option<f64> {
        self.mean(kind, setup, 1, |row| {
            let base = self.row(&row.guest, Kind::Fixed, base, 1)?;
            Some(row.least_ns / base.least_ns)
        })
    }

    /// Throughput of several threads over that of one in the same round. The median: two processors
    /// may be one core's, where one alone is faster in the rounds in which the other has nothing to do.
    pub(super) fn scaling(
        &self,
        guest: &str,
        kind: Kind,
        setup: Setup,
        threads: u64,
    ) -> Option<f64> {
        self.row(guest, kind, setup, threads)?.scaling
    }

    /// The mean of that over all kernels in fixed memories.
    pub(super) fn control(&self, setup: Setup, threads: u64) -> Option<f64> {
        let scaling = |row: &Row| self.scaling(&row.guest, Kind::Fixed, setup, threads);
        self.mean(Kind::Fixed, setup, threads, scaling)
    }

    /// Whether scaling on so many threads says something of the setups: not where kernels in fixed
    /// memories, which share nothing, did not get the `processors` that there are. The error is what
    /// they scaled by.
    pub(super) fn legible(&self, threads: u64, processors: u64) -> Result<(), f64> {
        let controls = self.setups().into_iter().map(|setup| self.control(setup, threads));
        let controls: Vec<_> = controls.collect();
        match geometric(controls.into_iter()) {
            Some(control) if control < 0.8 * threads.min(processors) as f64 => Err(control),
            _ => Ok(()),
        }
    }

    /// The mean of a setup's instructions over those of native builds.
    pub(super) fn instructions_over_native(&self, setup: Setup) -> Option<f64> {
        self.mean(Kind::Fixed, setup, 1, |row| {
            let mut natives = self.native_instructions.iter();
            let native = natives.find(|native| native.guest == row.guest)?;
            Some(row.instructions? as f64 / native.instructions as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::NativeInstructions;
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn scaling_is_legible_where_the_control_got_its_processors() {
        let results = |scaling: f64| {
            let row = |threads, scaling| {
                let row = row("a", Kind::Fixed, Setup::Guard, threads, 100.0);
                Row { scaling: Some(scaling), ..row }
            };
            let rows = vec![row(1, 1.0), row(2, scaling), row(4, scaling)];
            Results { rows, native_instructions: Vec::new(), engines: None }
        };
        assert_eq!(results(1.9).legible(2, 2), Ok(()));
        assert_eq!(results(1.9).legible(4, 2), Ok(()));
        let control = results(1.0).legible(2, 2).unwrap_err();
        assert!((control - 1.0).abs() < 1e-9);
        assert_eq!(results(1.0).legible(2, 1), Ok(()));
    }

    #[test]
    fn means_are_over_the_same_guests_in_the_base_setup() {
        let mut rows = vec![
            row("a", Kind::Fixed, Setup::None, 1, 100.0),
            row("a", Kind::Fixed, Setup::Trap, 1, 200.0),
            row("b", Kind::Fixed, Setup::None, 1, 10.0),
            row("b", Kind::Fixed, Setup::Trap, 1, 80.0),
            row("a", Kind::Growing, Setup::Trap, 1, 300.0),
            row("a", Kind::Growing, Setup::Trap, 2, 200.0),
        ];
        for row in &mut rows {
            row.instructions = Some(row.ns as u64 * 10);
        }
        let native = |guest: &str, instructions| NativeInstructions {
            guest: guest.to_owned(),
            instructions,
        };
        let native_instructions = vec![native("a", 1000), native("b", 200)];
        let results = Results { rows, native_instructions, engines: None };
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        assert!(near(results.time_over(Kind::Fixed, Setup::Trap, Setup::None), 4.0));
        assert!(near(results.time_over(Kind::Growing, Setup::Trap, Setup::None), 3.0));
        assert_eq!(results.time_over(Kind::Fixed, Setup::Guard, Setup::None), None);
        assert!(near(results.instructions_over_native(Setup::Trap), 8f64.sqrt()));
        assert_eq!(results.setups(), [Setup::None, Setup::Trap]);
        assert_eq!(results.scaling("a", Kind::Growing, Setup::Trap, 2), Some(1.5));
        assert!(near(results.control(Setup::Trap, 1), 0.75));
        assert_eq!(results.control(Setup::Trap, 2), None);
        assert_eq!((results.threads(), results.guests(Kind::Fixed)), (vec![1, 2], vec!["a", "b"]));
    }
}
