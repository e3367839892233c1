//! The figures of `docs/bounds.md`.

use super::chart::{Bars, Lines};
use super::guests::Kind;
use super::row::Results;
use super::setup::Setup;
use crate::exec::Lab;
use crate::machine::processors;
use anyhow::Context;
use std::path::Path;

/// How much the guests of the figures of scaling grow by.
const GROWTH: &str = "1 MiB";

/// Writes all figures that there are numbers for; their files' names.
pub(crate) fn write(results: &Results, folder: &Path) -> anyhow::Result<Vec<&'static str>> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("making the folder {}", folder.display()))?;
    let figures = [
        ("bounds-order.svg", order(results)),
        ("bounds-steps.svg", scaling(results, Kind::Steps)),
        ("bounds-touch.svg", scaling(results, Kind::Touch)),
        ("bounds-engines.svg", results.engines.as_ref().map(engines).transpose()),
    ];
    let mut written = Vec::new();
    for (name, figure) in figures {
        let file = folder.join(name);
        if let Some(svg) = figure? {
            std::fs::write(&file, svg).with_context(|| format!("writing {}", file.display()))?;
            written.push(name);
        } else if file.exists() {
            // That of an earlier run would be taken for one of this.
            std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        }
    }
    Ok(written)
}

/// The setups' times over that of `none`, for kernels in fixed and growing memories.
fn order(results: &Results) -> anyhow::Result<Option<String>> {
    let over = |kind, setup| results.time_over(kind, setup, Setup::None);
    let setups = results.setups().into_iter();
    let groups: Vec<_> = setups
        .map(|setup| {
            let values = [Kind::Fixed, Kind::Growing].map(|kind| over(kind, setup));
            (setup.name().to_owned(), values.to_vec())
        })
        .collect();
    if groups.iter().all(|(_, values)| values.iter().all(Option::is_none)) {
        return Ok(None);
    }
    let bars = Bars {
        title: "Short requests of kernels, by setup, one thread",
        unit: "time over that of none in a fixed memory, geometric mean",
        legend: &["fixed memory", "growing memory"],
        groups,
    };
    bars.svg().map(Some)
}

/// Throughput of several threads over that of one, for guests that grow; nothing if the control says
/// that others used the processors.
fn scaling(results: &Results, kind: Kind) -> anyhow::Result<Option<String>> {
    let threads = results.threads();
    let line = |name: String, number: &dyn Fn(u64) -> Option<f64>| {
        let points: Vec<_> =
            threads.iter().filter_map(|threads| Some((*threads, number(*threads)?))).collect();
        (!points.is_empty()).then_some((name, points))
    };
    let mut series = Vec::new();
    for setup in results.setups() {
        let number = |threads| results.scaling(GROWTH, kind, setup, threads);
        series.extend(line(setup.name().to_owned(), &number));
    }
    let legible = |threads: &u64| results.legible(*threads, processors()).is_ok();
    if series.is_empty() || threads.len() < 2 || !threads.iter().all(legible) {
        return Ok(None);
    }
    let control = |threads| results.control(Setup::Guard, threads);
    series.extend(line("kernels, guard".to_owned(), &control));
    let title = match kind {
        Kind::Touch => format!("Growing by {GROWTH} and writing to each page of it"),
        _ => format!("Growing by {GROWTH}, 64 KiB at a time"),
    };
    let lines =
        Lines { title: &title, across: "threads", unit: "throughput over one thread", series };
    lines.svg().map(Some)
}

/// The engines' times over the native one.
fn engines(lab: &Lab) -> anyhow::Result<String> {
    let over_native = lab.over_native().into_iter();
    let groups = over_native.map(|(engine, values)| (engine.to_owned(), values.to_vec())).collect();
    let bars = Bars {
        title: "Kernels alone, by engine",
        unit: "time over that of native code, geometric mean",
        legend: &["scalar", "with vectors"],
        groups,
    };
    bars.svg()
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn only_figures_with_numbers_are_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bounds-touch.svg"), "of an earlier run").unwrap();
        let rows = [1, 2].map(|n| row(GROWTH, Kind::Steps, Setup::Guard, n, 100.0)).to_vec();
        let results = Results { rows, native_instructions: Vec::new(), engines: None };
        assert_eq!(write(&results, folder.path()).unwrap(), ["bounds-steps.svg"]);
        let svg = std::fs::read_to_string(folder.path().join("bounds-steps.svg")).unwrap();
        assert!(svg.contains("64 KiB at a time") && svg.contains("guard"), "{svg}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
