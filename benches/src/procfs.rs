//! What the kernel says of this process.

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

/// Page faults that needed no disk since the process started.
pub(crate) fn minor_faults() -> anyhow::Result<u64> {
    let stat = read_to_string("/proc/self/stat")?;
    // The second field, the name in parentheses, may contain spaces; the tenth is the number.
    let after_name = stat.rsplit_once(") ").context("/proc/self/stat")?.1;
    Ok(after_name.split(' ').nth(7).context("/proc/self/stat")?.parse()?)
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
