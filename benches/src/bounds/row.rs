//! Results: a table for people, JSON and CSV.

use super::guests::Kind;
use super::setup::Setup;
use crate::exec::Lab;
use anyhow::Context;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// A guest in a setup on a number of threads.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) guest: String,
    pub(crate) kind: Kind,
    pub(crate) setup: Setup,
    pub(crate) threads: u64,
    /// How many were measured.
    pub(crate) requests: u64,
    /// Time that passes for one request, all threads together: median over the rounds, nanoseconds.
    pub(crate) ns: f64,
    /// The fastest round, nanoseconds.
    pub(crate) least_ns: f64,
    /// Throughput over that of one thread in the same round, if that was measured: the median.
    pub(crate) scaling: Option<f64>,
    /// For one request.
    pub(crate) minor_faults: f64,
    pub(crate) major_faults: f64,
    /// Processor time in the kernel over all of it, if there was any to speak of.
    pub(crate) kernel_share: Option<f64>,
    /// What the setup's instances for these threads have in memory.
    pub(crate) resident_kib: u64,
    /// Of the guest in one request, if they were counted.
    pub(crate) instructions: Option<u64>,
}

/// Instructions of a kernel's native build for the repetitions of one request.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NativeInstructions {
    pub(crate) guest: String,
    pub(crate) instructions: u64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    pub(crate) native_instructions: Vec<NativeInstructions>,
    /// What `exec` measures, where engines were compared too.
    pub(crate) engines: Option<Lab>,
}

/// Prints a table a person can read.
pub(crate) fn print(results: &Results) {
    println!("{}", table(&results.rows));
    if let Some(lab) = &results.engines {
        crate::exec::print(lab);
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<14} {:<8} {:<14} {:>7} {:>12} {:>8} {:>9} {:>6} {:>7} {:>12} {:>14}",
        "guest",
        "kind",
        "setup",
        "threads",
        "µs",
        "scaling",
        "minor",
        "major",
        "kernel",
        "resident KiB",
        "instructions"
    );
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    for row in rows {
        let instructions = row.instructions.map_or("-".to_owned(), |count| count.to_string());
        let _ = write!(
            text,
            "\n{:<14} {:<8} {:<14} {:>7} {:>12.3} {:>8} {:>9.2} {:>6.2} {:>7} {:>12} {:>14}",
            row.guest,
            row.kind.name(),
            row.setup.name(),
            row.threads,
            row.ns / 1e3,
            number(row.scaling),
            row.minor_faults,
            row.major_faults,
            number(row.kernel_share),
            row.resident_kib,
            instructions
        );
    }
    text
}

/// Writes a line for each row.
pub(crate) fn write_csv(results: &Results, file: &Path) -> anyhow::Result<()> {
    std::fs::write(file, csv(&results.rows)).with_context(|| format!("writing {}", file.display()))
}

fn csv(rows: &[Row]) -> String {
    let mut text = String::from(
        "guest,kind,setup,threads,requests,ns,least_ns,scaling,minor_faults,major_faults,\
         kernel_share,resident_kib,instructions\n",
    );
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for row in rows {
        let Row { guest, threads, requests, ns, least_ns, minor_faults, major_faults, .. } = row;
        let (kind, setup) = (row.kind.name(), row.setup.name());
        let (scaling, kernel_share) = (number(row.scaling), number(row.kernel_share));
        let instructions = row.instructions.map(|count| count.to_string()).unwrap_or_default();
        let resident_kib = row.resident_kib;
        let _ = writeln!(
            text,
            "{guest},{kind},{setup},{threads},{requests},{ns},{least_ns},{scaling},{minor_faults},\
             {major_faults},{kernel_share},{resident_kib},{instructions}"
        );
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row whose numbers are those given, and otherwise of no interest.
    pub(crate) fn row(guest: &str, kind: Kind, setup: Setup, threads: u64, ns: f64) -> Row {
        Row {
            guest: guest.to_owned(),
            kind,
            setup,
            threads,
            requests: 100,
            ns,
            least_ns: ns / 2.0,
            scaling: Some(threads as f64 * 0.75),
            minor_faults: 2.5,
            major_faults: 0.0,
            kernel_share: Some(0.25),
            resident_kib: 64,
            instructions: None,
        }
    }

    fn rows() -> Vec<Row> {
        let mut alone = row("sort", Kind::Growing, Setup::GuardUffd, 2, 1500.0);
        (alone.scaling, alone.kernel_share) = (None, None);
        let mut counted = row("64 KiB", Kind::Touch, Setup::Trap, 1, 250_000.0);
        counted.instructions = Some(12_345);
        vec![alone, counted]
    }

    #[test]
    fn a_line_of_csv_has_every_number_and_nothing_where_there_is_none() {
        assert_eq!(
            csv(&rows()),
            "guest,kind,setup,threads,requests,ns,least_ns,scaling,minor_faults,major_faults,\
             kernel_share,resident_kib,instructions\n\
             sort,growing,guard-uffd,2,100,1500,750,,2.5,0,,64,\n\
             64 KiB,touch,trap,1,100,250000,125000,0.75,2.5,0,0.25,64,12345\n"
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_row() {
        let expected = "
guest          kind     setup          threads           µs  scaling     minor  major  kernel resident KiB   instructions
sort           growing  guard-uffd           2        1.500        -      2.50   0.00       -           64              -
64 KiB         touch    trap                 1      250.000     0.75      2.50   0.00    0.25           64          12345";
        assert_eq!(table(&rows()), expected.trim_start());
    }

    #[test]
    fn json_names_setups_and_kinds_as_the_command_line_does() {
        let json = serde_json::to_value(&rows()[0]).unwrap();
        assert_eq!(json["setup"], "guard-uffd");
        assert_eq!(json["kind"], "growing");
        assert_eq!(json["scaling"], serde_json::Value::Null);
        assert_eq!(json["ns"], 1500.0);
    }
}
