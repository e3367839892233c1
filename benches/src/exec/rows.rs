//! Results: a table for people, JSON and CSV.

use super::kernels::Group;
use crate::timing::geometric;
use anyhow::Context;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// How long one engine takes for a variant of a kernel.
#[derive(Debug, Serialize)]
pub(super) struct Time {
    pub(super) engine: &'static str,
    /// Median, nanoseconds.
    pub(super) ns: f64,
    /// The fastest round, nanoseconds.
    pub(super) least_ns: f64,
    /// Median over the rounds of this engine / `native`, if that was measured.
    pub(super) over_native: Option<f64>,
}

/// One variant of a kernel.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) kernel: &'static str,
    pub(super) group: Group,
    /// Whether it was compiled with `-msimd128`.
    pub(super) simd: bool,
    /// Median over the rounds of the first engine / `wasmtime`, if that was measured.
    pub(super) ratio: Option<f64>,
    /// Median over the rounds of `wfaas-trap` / `wasmtime-checks`, if both were measured.
    pub(super) checks_ratio: Option<f64>,
    pub(super) times: Vec<Time>,
}

/// Geometric means over all kernels of a group.
#[derive(Debug, Serialize)]
struct Mean {
    /// Without, all kernels.
    group: Option<Group>,
    simd: bool,
    ratio: Option<f64>,
    checks_ratio: Option<f64>,
    /// For each engine, in the order of the rows' times.
    over_native: Vec<Option<f64>>,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Lab {
    rows: Vec<Row>,
    means: Vec<Mean>,
}

impl Lab {
    pub(super) fn new(rows: Vec<Row>) -> Lab {
        let mut means = Vec::new();
        for simd in [false, true] {
            for group in [Some(Group::Scientific), Some(Group::Integer), None] {
                means.extend(mean(&rows, group, simd));
            }
        }
        Lab { rows, means }
    }

    /// The mean of all kernels' ratios, without or with vectors: of the first engine / `wasmtime`,
    /// and of `wfaas-trap` / `wasmtime-checks`.
    pub(crate) fn ratios(&self, simd: bool) -> [Option<f64>; 2] {
        let mean = self.of_all(simd);
        [mean.and_then(|mean| mean.ratio), mean.and_then(|mean| mean.checks_ratio)]
    }

    /// Each engine with the mean of its time over the native one, without and with vectors.
    pub(crate) fn over_native(&self) -> Vec<(&'static str, [Option<f64>; 2])> {
        let engines = self.rows.first().map_or(&[][..], |row| &row.times);
        let means = [self.of_all(false), self.of_all(true)];
        let of_engine = |(index, time): (usize, &Time)| {
            (time.engine, means.map(|mean| mean.and_then(|mean| mean.over_native[index])))
        };
        engines.iter().enumerate().map(of_engine).collect()
    }

    /// The mean over all kernels of one engine's fastest round over another's.
    pub(crate) fn fastest_ratio(&self, above: &str, below: &str, simd: bool) -> Option<f64> {
        let least = |row: &Row, engine: &str| {
            Some(row.times.iter().find(|time| time.engine == engine)?.least_ns)
        };
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.simd == simd).collect();
        geometric(rows.iter().map(|row| Some(least(row, above)? / least(row, below)?)))
    }

    fn of_all(&self, simd: bool) -> Option<&Mean> {
        self.means.iter().find(|mean| mean.group.is_none() && mean.simd == simd)
    }
}

fn mean(rows: &[Row], group: Option<Group>, simd: bool) -> Option<Mean> {
    let rows: Vec<&Row> = rows
        .iter()
        .filter(|row| row.simd == simd && group.is_none_or(|group| group == row.group))
        .collect();
    let engines = rows.first()?.times.len();
    let over_native =
        |engine: usize| geometric(rows.iter().map(|row| row.times[engine].over_native));
    Some(Mean {
        group,
        simd,
        ratio: geometric(rows.iter().map(|row| row.ratio)),
        checks_ratio: geometric(rows.iter().map(|row| row.checks_ratio)),
        over_native: (0..engines).map(over_native).collect(),
    })
}

/// Prints a table a person can read: milliseconds of the first engine, its time over that of
/// `wasmtime` (`ratio`), that of `wfaas-trap` over that of `wasmtime-checks` (`checks`), then how
/// many times the native time each takes.
pub(crate) fn print(lab: &Lab) {
    let Some(first) = lab.rows.first() else { return };
    let mut heading = format!("{:<20} {:>9} {:>7} {:>7}", "kernel", "ms", "ratio", "checks");
    for time in &first.times {
        let _ = write!(heading, " {:>17}", time.engine);
    }
    println!("{heading}");
    for row in &lab.rows {
        let over_native = row.times.iter().map(|time| time.over_native);
        let milliseconds = format!("{:.2}", row.times[0].ns / 1e6);
        let ratios = [row.ratio, row.checks_ratio];
        println!("{}", line(row.kernel, row.simd, &milliseconds, ratios, over_native));
    }
    for mean in &lab.means {
        let name = match mean.group {
            None => "all",
            Some(Group::Scientific) => "scientific",
            Some(Group::Integer) => "integer",
        };
        let ratios = [mean.ratio, mean.checks_ratio];
        println!("{}", line(name, mean.simd, "", ratios, mean.over_native.iter().copied()));
    }
}

fn line(
    name: &str,
    simd: bool,
    milliseconds: &str,
    [ratio, checks_ratio]: [Option<f64>; 2],
    over_native: impl Iterator<Item = Option<f64>>,
) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let name = format!("{name}{}", if simd { " simd" } else { "" });
    let (ratio, checks_ratio) = (number(ratio), number(checks_ratio));
    let mut line = format!("{name:<20} {milliseconds:>9} {ratio:>7} {checks_ratio:>7}");
    for value in over_native {
        let _ = write!(line, " {:>17}", number(value));
    }
    line
}

/// Writes a line for each kernel, variant and engine.
pub(crate) fn write_csv(lab: &Lab, file: &Path) -> anyhow::Result<()> {
    let mut text = String::from("kernel,group,simd,engine,ns,least_ns,over_native\n");
    for row in &lab.rows {
        let group = format!("{:?}", row.group).to_lowercase();
        for Time { engine, ns, least_ns, over_native } in &row.times {
            let over_native = over_native.map(|value| value.to_string()).unwrap_or_default();
            let (kernel, simd) = (row.kernel, row.simd);
            let _ =
                writeln!(text, "{kernel},{group},{simd},{engine},{ns},{least_ns},{over_native}");
        }
    }
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(simd: bool, group: Group, ratio: f64, over_native: f64) -> Row {
        let time = Time { engine: "wfaas", ns: 1.0, least_ns: 1.0, over_native: Some(over_native) };
        let (ratio, checks_ratio) = (Some(ratio), Some(ratio / 2.0));
        Row { kernel: "k", group, simd, ratio, checks_ratio, times: vec![time] }
    }

    #[test]
    fn means_are_geometric_and_of_their_group_and_variant() {
        let lab = Lab::new(vec![
            row(false, Group::Integer, 0.5, 4.0),
            row(false, Group::Scientific, 2.0, 1.0),
            row(true, Group::Scientific, 7.0, 3.0),
        ]);
        let mean = |group: Option<Group>, simd: bool| {
            let mean = lab.means.iter().find(|mean| mean.group == group && mean.simd == simd);
            mean.map(|mean| (mean.ratio.unwrap(), mean.over_native[0].unwrap()))
        };
        let near = |found: Option<(f64, f64)>, expected: (f64, f64)| {
            let found = found.unwrap();
            (found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9
        };
        assert!(near(mean(None, false), (1.0, 2.0)));
        assert!(near(mean(Some(Group::Integer), false), (0.5, 4.0)));
        assert!(near(mean(None, true), (7.0, 3.0)));
        assert!(mean(Some(Group::Integer), true).is_none());
        assert_eq!(lab.means[0].checks_ratio.unwrap(), 1.0);
        assert_eq!(lab.over_native()[0].0, "wfaas");
        assert_eq!(lab.fastest_ratio("wfaas", "wfaas", false), Some(1.0));
        assert_eq!(lab.fastest_ratio("wfaas", "native", false), None);
        assert!(near(lab.over_native()[0].1[0].zip(lab.ratios(false)[1]), (2.0, 0.5)));
    }
}
