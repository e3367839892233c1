//! Numbers of this process, from the kernel (`/proc/self`).

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs::read_to_string;

/// User addresses have 47 bits.
const ADDRESS_SPACE: usize = 1 << 47;

/// Memory, mappings and descriptors at one moment.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Of all mappings together: a page that is mapped twice counts twice.
    pub(crate) resident_kib: u64,
    /// Pages that are mapped once only: what ending the process would free.
    pub(crate) private_kib: u64,
    pub(crate) page_tables_kib: u64,
    pub(crate) mappings: u64,
    pub(crate) descriptors: u64,
}

impl Usage {
    /// Of this process, now.
    pub(crate) fn now() -> anyhow::Result<Usage> {
        // The counters of `status` are approximate, those of `smaps_rollup` are counted for us.
        let rollup = read_to_string("/proc/self/smaps_rollup")?;
        let status = read_to_string("/proc/self/status")?;
        Ok(Usage {
            resident_kib: field(&rollup, "Rss:")?,
            private_kib: field(&rollup, "Private_Clean:")? + field(&rollup, "Private_Dirty:")?,
            page_tables_kib: field(&status, "VmPTE:")?,
            mappings: read_to_string("/proc/self/maps")?.lines().count() as u64,
            descriptors: std::fs::read_dir("/proc/self/fd")?.count() as u64,
        })
    }
}

/// What a process has had of the kernel since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    /// Page faults that needed no disk, and those that did.
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    /// Processor time in user code and in the kernel, in the clock's ticks of 10 ms.
    pub(crate) user_ticks: u64,
    pub(crate) kernel_ticks: u64,
}

impl Counters {
    /// Of this process, now.
    pub(crate) fn now() -> anyhow::Result<Counters> {
        Counters::parse(&read_to_string("/proc/self/stat")?).context("/proc/self/stat")
    }

    /// See `proc_pid_stat(5)`.
    fn parse(stat: &str) -> Option<Counters> {
        // The second field, the name in parentheses, may contain spaces.
        let after_name = stat.rsplit_once(") ")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Counters {
            minor_faults: field(10)?,
            major_faults: field(12)?,
            user_ticks: field(14)?,
            kernel_ticks: field(15)?,
        })
    }

    /// What there was since `before`.
    pub(crate) fn since(self, before: Counters) -> Counters {
        Counters {
            minor_faults: self.minor_faults - before.minor_faults,
            major_faults: self.major_faults - before.major_faults,
            user_ticks: self.user_ticks - before.user_ticks,
            kernel_ticks: self.kernel_ticks - before.kernel_ticks,
        }
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, more: Counters) {
        self.minor_faults += more.minor_faults;
        self.major_faults += more.major_faults;
        self.user_ticks += more.user_ticks;
        self.kernel_ticks += more.kernel_ticks;
    }
}

/// The sysctl `vm.max_map_count`.
pub(crate) fn max_map_count() -> anyhow::Result<u64> {
    Ok(read_to_string("/proc/sys/vm/max_map_count")?.trim().parse()?)
}

/// Bytes of the largest range of addresses that nothing is mapped to.
pub(crate) fn largest_hole() -> anyhow::Result<usize> {
    let (mut largest, mut end) = (0, 0);
    for line in read_to_string("/proc/self/maps")?.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (from, to) = range.context("/proc/self/maps")?;
        let from = usize::from_str_radix(from, 16)?;
        if from >= ADDRESS_SPACE {
            break; // the kernel's own page
        }
        largest = largest.max(from - end);
        end = usize::from_str_radix(to, 16)?;
    }
    Ok(largest.max(ADDRESS_SPACE.saturating_sub(end)))
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("the kernel says nothing of {name}"))?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_behind_a_name_with_spaces() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 110 5 12 6 31 17 0 0 20 0 1 0 99";
        let found = Counters::parse(stat).unwrap();
        let expected =
            Counters { minor_faults: 110, major_faults: 12, user_ticks: 31, kernel_ticks: 17 };
        assert_eq!(found, expected);
        assert_eq!(Counters::parse("7 (a) S 1"), None);
    }
}
