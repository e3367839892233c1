//! Bounds checks: their options on the command line, and their listings.

use crate::failure::Failure;
use crate::output;
use serde::Serialize;
use std::collections::BTreeMap;
use wfaas_abi::{Artifact, BoundsStrategy, CheckFate};
use wfaas_compiler::{Options, Pass, Proof, Proofs, Switch, Switches};

/// How memory accesses are kept inside the memory.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Choice {
    /// How memory accesses are kept inside the memory: guard, guard-uffd, trap, clamp or none
    /// [default: guard, or what the faas.toml says]
    #[arg(long, value_name = "STRATEGY", value_parser = strategy)]
    bounds: Option<BoundsStrategy>,

    /// Allow `--bounds none`: nothing keeps the guest's accesses inside its memory, and the
    /// artifact cannot be served
    #[arg(long)]
    unsafe_no_bounds: bool,

    #[arg(long, value_name = "PROOF", value_delimiter = ',', value_parser = switch::<Proof>,
        help = listed::<Proof>("Keep the checks that this kind of proof would make unnecessary"))]
    no_elide: Vec<String>,

    /// Keep each check that a proof makes unnecessary as an assertion
    #[arg(long)]
    verify_bounds: bool,

    #[arg(long, value_name = "PASS", value_delimiter = ',', value_parser = switch::<Pass>,
        help = listed::<Pass>("Leave out this pass over the code"))]
    disable_pass: Vec<String>,
}

/// The strategy of this name; for `faas.toml` too.
pub(crate) fn strategy(name: &str) -> Result<BoundsStrategy, String> {
    let names = || BoundsStrategy::ALL.iter().map(|known| known.name()).collect::<Vec<_>>();
    let unknown = || format!("unknown bounds strategy `{name}`; known are {}", names().join(", "));
    BoundsStrategy::from_name(name).ok_or_else(unknown)
}

/// The name of a switch of the compiler.
pub(crate) fn switch<S: Switch>(name: &str) -> Result<String, String> {
    Switches::<S>::ALL.without(name).map(|_| name.to_owned()).map_err(|error| error.to_string())
}

/// A help text with the names of all switches of a kind.
pub(crate) fn listed<S: Switch>(what: &str) -> String {
    format!("{what}: {} or all", Switches::<S>::names().collect::<Vec<_>>().join(", "))
}

impl Choice {
    /// The same with the strategy of a `faas.toml`, unless the command line names one.
    pub(crate) fn or(self, of_manifest: Option<BoundsStrategy>) -> Choice {
        Choice { bounds: self.bounds.or(of_manifest), ..self }
    }

    /// These options with the choice.
    ///
    /// # Errors
    /// A user's mistake if no checks are asked for, but not by all the words that takes.
    pub(crate) fn apply<'a>(&self, options: Options<'a>) -> Result<Options<'a>, Failure> {
        let bounds = self.bounds.unwrap_or(options.bounds);
        if !bounds.is_safe() && !self.unsafe_no_bounds {
            return Err(Failure::user(
                "bounds strategy `none` keeps no access inside the memory: ask for it with \
                 `faascli build --unsafe-no-bounds`, or choose another one",
            ));
        }
        if bounds.is_safe() && self.unsafe_no_bounds {
            let name = bounds.name();
            return Err(Failure::user(format_args!(
                "--unsafe-no-bounds goes with `--bounds none`, but the strategy is `{name}`"
            )));
        }
        let elide = Proofs::ALL.without_each(&self.no_elide)?;
        let passes = options.passes.without_each(&self.disable_pass)?;
        Ok(Options { bounds, elide, verify_bounds: self.verify_bounds, passes, ..options })
    }
}

/// Refuses an artifact whose guest is not kept inside its memory.
///
/// # Errors
/// A user's mistake, with the way out; `what` names the artifact.
pub(crate) fn check_servable(artifact: &[u8], what: impl std::fmt::Display) -> Result<(), Failure> {
    if Artifact::parse(artifact)?.bounds().is_safe() {
        return Ok(());
    }
    Err(Failure::user(format_args!(
        "{what} was built with --bounds none, so its guest is not kept inside its memory: it is \
         neither served nor deployed; build it again with another strategy"
    )))
}

/// What became of the bounds checks of an artifact.
#[derive(Serialize)]
pub(crate) struct Report {
    strategy: &'static str,
    accesses: u64,
    elided: u64,
    /// Accesses by what became of their check; what there is none of is left out.
    by_reason: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn of(artifact: &Artifact<'_>) -> Report {
        let stats = artifact.bounds_stats();
        let counts = stats.iter().filter(|(_, count)| *count > 0);
        Report {
            strategy: artifact.bounds().name(),
            accesses: stats.accesses(),
            elided: stats.elided(),
            by_reason: counts.map(|(fate, count)| (fate.name(), count)).collect(),
        }
    }

    /// Everything in one line.
    pub(crate) fn line(&self) -> String {
        let reasons: String =
            self.by_reason.iter().map(|(name, count)| format!(", {count} {name}")).collect();
        format!("{}: {} accesses{reasons}", self.strategy, self.accesses)
    }

    /// Prints a line for each reason.
    ///
    /// # Errors
    /// What the write reports.
    pub(crate) fn explain(&self) -> output::Result {
        output::line(format_args!(
            "bounds {}: {} accesses, of {} the check was proved to be unnecessary",
            self.strategy, self.accesses, self.elided
        ))?;
        for fate in CheckFate::ALL {
            if let Some(count) = self.by_reason.get(fate.name()) {
                output::line(format_args!("{count:>10}  {:14} {}", fate.name(), fate.meaning()))?;
            }
        }
        Ok(())
    }
}
