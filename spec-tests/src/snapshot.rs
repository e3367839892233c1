//! From an instance to its copy: captured, written to an artifact, loaded and instantiated again.

use wfaas_abi::artifact::replace_image;
use wfaas_vm::{Error, Instance, Linker, Module, Store};

/// The restored copy of an instance of `module`, in a slot of its own; `None` if the instance
/// refers to something that is in no image, such as an imported memory or a host object.
///
/// # Errors
/// Whatever fails after the capture: that must not happen.
pub(crate) fn restored(
    linker: &Linker<()>,
    store: &mut Store<()>,
    module: &Module,
    instance: Instance,
) -> Result<Option<Instance>, String> {
    let capture = match instance.capture(store) {
        Ok(capture) => capture,
        Err(Error::Capture(_)) => return Ok(None),
        Err(error) => return Err(format!("capturing: {error}")),
    };
    let artifact = replace_image(&module.artifact(), &capture.image, &capture.memory_pages)
        .map_err(|error| format!("writing the capture: {error}"))?;
    let copy = Module::from_bytes(linker.engine(), &artifact)
        .map_err(|error| format!("loading the capture: {error}"))?;
    let restored = linker.instantiate(store, &copy);
    restored.map(Some).map_err(|error| format!("restoring: {error}"))
}
