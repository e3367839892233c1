//! The fixed header of an artifact.

use crate::Options;
use crate::front::layout::Layout;
use crate::front::module::Module;
use object::elf::EM_X86_64;
use wfaas_abi::BoundsStats;
use wfaas_abi::artifact::{FORMAT_VERSION, Header, MAGIC};
use wfaas_abi::fingerprint::ABI_FINGERPRINT;
use zerocopy::FromZeros;

/// The header, except for places in the file.
pub(crate) fn header(
    module: &Module<'_>,
    layout: &Layout,
    stats: BoundsStats,
    options: &Options<'_>,
) -> Header {
    let mut header = Header::new_zeroed();
    header.magic = MAGIC;
    header.version = FORMAT_VERSION.into();
    header.fingerprint = ABI_FINGERPRINT.into();
    header.machine = u32::from(EM_X86_64.0).into();
    header.bounds = (options.bounds as u32).into();
    header.cpu_features = options.cpu.0.into();
    header.state_bytes = (layout.state.state_bytes as u64).into();
    header.host_bytes = (layout.host.host_bytes as u64).into();
    header.data_dropped = layout.state.data_dropped.cast_unsigned().into();
    header.elem_dropped = layout.state.elem_dropped.cast_unsigned().into();
    header.start = module.start.map_or(0, |func| func.as_u32() + 1).into();
    header.accesses = stats.0.map(|count| count.into());
    header
}
