//! The measured part of `docs/bounds.md`: between two marks, and with figures in a folder beside.

use super::figures;
use super::guests::Kind;
use super::row::{Results, Row};
use super::setup::Setup;
use crate::exec::Lab;
use crate::machine::processors;
use anyhow::Context;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const BEGIN: &str =
    "<!-- measured: what follows is written by `wfaas-bench bounds --write docs` -->";
const END: &str = "<!-- measured: end -->";

/// A page with a part to replace.
pub(crate) struct Page {
    file: PathBuf,
}

impl Page {
    /// That of a folder; fails, before anything is measured, if nothing can be replaced in it.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Page> {
        let page = Page { file: folder.join("bounds.md") };
        page.with("")?;
        Ok(page)
    }

    /// Replaces what was measured, and the figures beside it.
    pub(crate) fn write(&self, results: &Results, machine: &str) -> anyhow::Result<()> {
        let written = figures::write(results, &self.file.with_file_name("figures"))?;
        // Read anew: the run took a while, and somebody may have written to it.
        let text = self.with(&measured(results, machine, &written))?;
        std::fs::write(&self.file, text).with_context(|| format!("writing {}", self.file.display()))
    }

    /// Its text as it is now, with another measured part.
    fn with(&self, measured: &str) -> anyhow::Result<String> {
        let text = std::fs::read_to_string(&self.file)
            .with_context(|| format!("reading {}, which is to be changed", self.file.display()))?;
        replace(&text, measured).with_context(|| self.file.display().to_string())
    }
}

/// The text with another measured part.
fn replace(text: &str, measured: &str) -> anyhow::Result<String> {
    let marks = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = marks
        .with_context(|| format!("there have to be two lines in it, {BEGIN:?} and {END:?}"))?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", measured.trim()))
}

fn measured(results: &Results, machine: &str, figures: &[&str]) -> String {
    let mut text = format!("{machine}\n");
    let figure = |name: &str, alt: &str| match figures.contains(&name) {
        true => format!("\n![{alt}](figures/{name})\n"),
        false => String::new(),
    };
    if let Some(lab) = &results.engines {
        let _ = write!(text, "\n### Kernels alone, by engine\n\n{}", engines(lab));
        text += &figure("bounds-engines.svg", "time over native code by engine");
    }
    if !results.guests(Kind::Fixed).is_empty() {
        let _ = write!(text, "\n### Short requests of kernels, by setup\n\n{}", order(results));
        text += &figure("bounds-order.svg", "time over none by setup");
    }
    if let Some(alone) = growth(results, 1, |row| micros(row.least_ns)) {
        let _ = write!(text, "\n### Growing, one thread, µs for a request\n\n{alone}");
    }
    if let Some(faults) = growth(results, 1, |row| format!("{:.0}", row.minor_faults)) {
        let _ = write!(text, "\n### Growing, one thread, page faults of a request\n\n{faults}");
    }
    for threads in results.threads().into_iter().filter(|threads| *threads > 1) {
        text += &scaling(results, threads, processors());
    }
    text += &figure("bounds-steps.svg", "scaling of growth in steps");
    text += &figure("bounds-touch.svg", "scaling of growth that is written to");
    text
}

/// Throughput over one thread, or why there is none to be shown.
fn scaling(results: &Results, threads: u64, processors: u64) -> String {
    let cell = |row: &Row| number(results.scaling(&row.guest, row.kind, row.setup, row.threads));
    let Some(table) = growth(results, threads, cell) else { return String::new() };
    let heading = format!("\n### Growing, {threads} threads, throughput over one\n\n");
    if let Err(control) = results.legible(threads, processors) {
        return heading
            + &format!(
                "Not shown: requests that share nothing scaled by {control:.2}, so others used the \
                 processors.\n"
            );
    }
    let control = |setup| number(results.control(setup, threads));
    heading + &table + &line("kernels, fixed", results.setups().into_iter().map(control))
}

/// Times over native, and the two ratios: medians, and by the fastest rounds.
fn engines(lab: &Lab) -> String {
    let mut text = String::from(
        "| time over native | scalar | with vectors | scalar, fastest rounds | with vectors |\n\
         |---|---|---|---|---|\n",
    );
    let fastest =
        |above, below| [false, true].map(|simd| number(lab.fastest_ratio(above, below, simd)));
    for (engine, values) in lab.over_native() {
        text += &line(engine, values.map(number).into_iter().chain(fastest(engine, "native")));
    }
    let ratios = [false, true].map(|simd| lab.ratios(simd));
    for (index, (above, below)) in
        [("wfaas", "wasmtime"), ("wfaas-trap", "wasmtime-checks")].into_iter().enumerate()
    {
        let medians = ratios.map(|ratios| number(ratios[index]));
        let name = format!("{above} / {below}");
        text += &line(&name, medians.into_iter().chain(fastest(above, below)));
    }
    text
}

fn order(results: &Results) -> String {
    let mut text = String::from(
        "| setup | fixed memory | growing memory | instructions over native | page faults, growing | resident KiB |\n\
         |---|---|---|---|---|---|\n",
    );
    for setup in results.setups() {
        let over = |kind| number(results.time_over(kind, setup, Setup::None));
        let average = |number: fn(&Row) -> f64| {
            let guests = results.guests(Kind::Growing);
            let rows: Vec<_> = guests
                .iter()
                .filter_map(|guest| results.row(guest, Kind::Growing, setup, 1))
                .collect();
            let sum: f64 = rows.iter().copied().map(number).sum();
            sum / rows.len() as f64
        };
        let cells = [
            over(Kind::Fixed),
            over(Kind::Growing),
            number(results.instructions_over_native(setup)),
            format!("{:.1}", average(|row| row.minor_faults)),
            format!("{:.0}", average(|row| row.resident_kib as f64)),
        ];
        text += &line(setup.name(), cells);
    }
    text
}

/// A table of all guests that grow, with a column for each setup; `None` without rows.
fn growth(results: &Results, threads: u64, cell: impl Fn(&Row) -> String) -> Option<String> {
    let setups = results.setups();
    let mut lines = String::new();
    for kind in [Kind::Grow, Kind::Steps, Kind::Touch] {
        for guest in results.guests(kind) {
            let cells = setups.iter().map(|setup| {
                let row = results.row(guest, kind, *setup, threads);
                row.map_or("-".to_owned(), &cell)
            });
            lines += &line(&format!("{}, {guest}", kind.name()), cells);
        }
    }
    let heading = line("", setups.iter().map(|setup| setup.name().to_owned()));
    let rule = format!("|{}\n", "---|".repeat(setups.len() + 1));
    (!lines.is_empty()).then_some(heading + &rule + &lines)
}

fn line(name: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells = cells.into_iter().fold(String::new(), |line, cell| line + " " + &cell + " |");
    format!("| {name} |{cells}\n")
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}

/// With three digits.
fn micros(nanos: f64) -> String {
    let digits = 2usize.saturating_sub((nanos / 1e3).max(1.0).log10() as usize);
    format!("{:.digits$}", nanos / 1e3)
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let expected = format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n");
        assert_eq!(replace(&text, "new\n").unwrap(), expected);
        assert_eq!(replace(&expected, "new").unwrap(), expected);
    }

    #[test]
    fn a_page_without_marks_is_refused() {
        for text in ["", BEGIN, END, &format!("{END}{BEGIN}")] {
            let error = replace(text, "new").unwrap_err().to_string();
            assert!(error.contains("measured: end"), "{error}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_in_the_page() {
        let rows = vec![
            row("sort", Kind::Fixed, Setup::None, 1, 1e6),
            row("sort", Kind::Fixed, Setup::Trap, 1, 1.5e6),
            row("sort", Kind::Growing, Setup::None, 1, 1e6),
            row("sort", Kind::Growing, Setup::Trap, 1, 2e6),
            row("1 MiB", Kind::Grow, Setup::Trap, 1, 25_000.0),
        ];
        let results = Results { rows, native_instructions: Vec::new(), engines: None };
        let expected = "\
machine

### Short requests of kernels, by setup

| setup | fixed memory | growing memory | instructions over native | page faults, growing | resident KiB |
|---|---|---|---|---|---|
| none | 1.00 | 1.00 | - | 2.5 | 64 |
| trap | 1.50 | 2.00 | - | 2.5 | 64 |

![time over none by setup](figures/bounds-order.svg)

### Growing, one thread, µs for a request

|  | none | trap |
|---|---|---|
| grow, 1 MiB | - | 12.5 |

### Growing, one thread, page faults of a request

|  | none | trap |
|---|---|---|
| grow, 1 MiB | - | 2 |
";
        assert_eq!(measured(&results, "machine", &["bounds-order.svg"]), expected);
    }

    #[test]
    fn scaling_is_shown_where_there_were_processors() {
        let two = |guest, kind, scaling| {
            let row = row(guest, kind, Setup::Trap, 2, 100.0);
            Row { scaling: Some(scaling), ..row }
        };
        let rows = vec![two("sort", Kind::Fixed, 1.9), two("1 MiB", Kind::Grow, 0.75)];
        let results = Results { rows, native_instructions: Vec::new(), engines: None };
        let heading = "\n### Growing, 2 threads, throughput over one\n\n";
        let table = "|  | trap |\n|---|---|\n| grow, 1 MiB | 0.75 |\n| kernels, fixed | 1.90 |\n";
        assert_eq!(scaling(&results, 2, 2), format!("{heading}{table}"));
        let mut busy = results;
        busy.rows[0].scaling = Some(1.0);
        let reason = "Not shown: requests that share nothing scaled by 1.00, so others used the \
                      processors.\n";
        assert_eq!(scaling(&busy, 2, 2), format!("{heading}{reason}"));
    }

    #[test]
    fn the_page_that_there_is_has_the_marks() {
        let page = include_str!("../../../docs/bounds.md");
        let replaced = replace(page, "measured anew").unwrap();
        let (before, after) = replaced.split_once("measured anew").unwrap();
        assert!(page.starts_with(before.trim_end()) && page.ends_with(after.trim_start()));
    }

    #[test]
    fn times_have_three_digits() {
        assert_eq!(
            [123.0, 12_345.0, 123_456.0, 9_999_999.0].map(micros),
            ["0.12", "12.3", "123", "10000"]
        );
    }
}
