//! Results: a table for people, and JSON.

use super::list::{Language, Part};
use crate::timing::geometric;
use serde::Serialize;
use std::fmt::Write;

/// How long one engine takes for a program.
#[derive(Debug, Serialize)]
pub(super) struct Time {
    pub(super) engine: &'static str,
    /// Median, nanoseconds.
    pub(super) ns: f64,
    /// The fastest round, nanoseconds.
    pub(super) least_ns: f64,
    /// Median over the rounds of the first engine's time / this one's.
    pub(super) ratio: f64,
    /// The first engine's fastest round / this one's.
    pub(super) least_ratio: f64,
    /// Processor time of compiling, nanoseconds, if the engine has a compiler that can be asked.
    pub(super) compile_ns: Option<f64>,
    /// Bytes of what it has compiled.
    pub(super) bytes: Option<usize>,
}

/// One program.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) program: &'static str,
    pub(super) part: Part,
    pub(super) language: Language,
    pub(super) times: Vec<Time>,
}

/// Geometric means over the programs of a part, or of all, of the first engine / each engine.
#[derive(Debug, Serialize)]
struct Mean {
    part: Option<Part>,
    ratio: Vec<Option<f64>>,
    least_ratio: Vec<Option<f64>>,
    compile: Vec<Option<f64>>,
    bytes: Vec<Option<f64>>,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Programs {
    rows: Vec<Row>,
    means: Vec<Mean>,
}

impl Programs {
    pub(super) fn new(rows: Vec<Row>) -> Programs {
        let parts = [Some(Part::Tuning), Some(Part::Validation), Some(Part::Final), None];
        let means = parts.into_iter().filter_map(|part| mean(&rows, part)).collect();
        Programs { rows, means }
    }
}

fn mean(rows: &[Row], part: Option<Part>) -> Option<Mean> {
    let rows: Vec<&Row> =
        rows.iter().filter(|row| part.is_none_or(|part| part == row.part)).collect();
    let engines = 0..rows.first()?.times.len();
    let over = |value: &dyn Fn(&Time) -> Option<f64>, engine: usize| {
        geometric(rows.iter().map(|row| value(&row.times[engine])))
    };
    let first_over = |value: &dyn Fn(&Time) -> Option<f64>, engine: usize| {
        geometric(rows.iter().map(|row| Some(value(&row.times[0])? / value(&row.times[engine])?)))
    };
    let each = |mean: &dyn Fn(usize) -> Option<f64>| engines.clone().map(mean).collect();
    Some(Mean {
        part,
        ratio: each(&|engine| over(&|time| Some(time.ratio), engine)),
        least_ratio: each(&|engine| over(&|time| Some(time.least_ratio), engine)),
        compile: each(&|engine| first_over(&|time| time.compile_ns, engine)),
        bytes: each(&|engine| first_over(&|time| time.bytes.map(|bytes| bytes as f64), engine)),
    })
}

/// Prints, for each program, the milliseconds of the first engine, then its time over each other's
/// (median, fastest), compile time and size over the second's.
pub(crate) fn print(programs: &Programs) {
    let Some(first) = programs.rows.first() else { return };
    let mut heading = format!("{:<16} {:<10} {:>8}", "program", "part", "ms");
    for time in &first.times[1..] {
        let _ = write!(heading, " {:>9} {:>7}", format!("/{}", time.engine), "least");
    }
    println!("{heading} {:>8} {:>7}", "compile", "bytes");
    for row in &programs.rows {
        let mut line = format!(
            "{:<16} {:<10} {:>8.2}",
            row.program,
            format!("{:?}", row.part).to_lowercase(),
            row.times[0].ns / 1e6
        );
        for time in &row.times[1..] {
            let _ = write!(line, " {:>9.3} {:>7.3}", time.ratio, time.least_ratio);
        }
        let over_second = |value: &dyn Fn(&Time) -> Option<f64>| {
            Some(value(&row.times[0])? / value(row.times.get(1)?)?)
        };
        let compile = over_second(&|time| time.compile_ns);
        let bytes = over_second(&|time| time.bytes.map(|bytes| bytes as f64));
        println!("{line} {:>8} {:>7}", number(compile), number(bytes));
    }
    for mean in &programs.means {
        let part = mean.part.map_or("all".to_owned(), |part| format!("{part:?}").to_lowercase());
        let mut line = format!("{:<16} {part:<10} {:>8}", "mean", "");
        for engine in 1..mean.ratio.len() {
            let (ratio, least) = (number(mean.ratio[engine]), number(mean.least_ratio[engine]));
            let _ = write!(line, " {ratio:>9} {least:>7}");
        }
        let second = |values: &[Option<f64>]| number(values.get(1).copied().flatten());
        println!("{line} {:>8} {:>7}", second(&mean.compile), second(&mean.bytes));
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(part: Part, ratio: f64) -> Row {
        let time = |ratio| Time {
            engine: "wfaas",
            ns: 1.0,
            least_ns: 1.0,
            ratio,
            least_ratio: ratio * 2.0,
            compile_ns: Some(3.0),
            bytes: None,
        };
        let times = vec![time(1.0), time(ratio)];
        Row { program: "p", part, language: Language::C, times }
    }

    #[test]
    fn means_are_geometric_and_of_their_part() {
        let rows = vec![row(Part::Tuning, 0.5), row(Part::Tuning, 2.0), row(Part::Final, 4.0)];
        let programs = Programs::new(rows);
        let mean = |part| programs.means.iter().find(|mean| mean.part == part);
        assert!((mean(Some(Part::Tuning)).unwrap().ratio[1].unwrap() - 1.0).abs() < 1e-9);
        assert!((mean(Some(Part::Final)).unwrap().least_ratio[1].unwrap() - 8.0).abs() < 1e-9);
        assert!(mean(Some(Part::Validation)).is_none());
        let all = mean(None).unwrap();
        assert!((all.ratio[1].unwrap() - 4f64.cbrt()).abs() < 1e-9);
        assert_eq!((all.compile[1], all.bytes[1]), (Some(1.0), None));
    }
}
