//! Function references in an image that was captured with other code of the same module.

use super::error::ArtifactError;
use super::reader::Artifact;
use crate::image::SparseImage;
use crate::state::ELEMENT_BYTES;
use crate::{FuncRef, ValType};
use zerocopy::little_endian::U32;

/// Makes the function references in the state of `image`, which is of code in `from`, references to the
/// same functions in `to`. Both must have been compiled from one module.
///
/// # Errors
/// [`ArtifactError::Corrupt`] if a reference is to no function, or the artifacts are of different modules.
pub fn relocate_references(
    image: &mut SparseImage,
    from: &Artifact<'_>,
    to: &Artifact<'_>,
) -> Result<(), ArtifactError> {
    for global in from.globals() {
        relocate(image, from, to, global.ty, global.offset.get().into())?;
    }
    for table in from.tables() {
        let size = image.read_u64(table.size_offset.get().into());
        for index in 0..size.min(table.capacity.get()) {
            let at =
                i64::from(table.elements_offset.get()) + (index as usize * ELEMENT_BYTES) as i64;
            relocate(image, from, to, table.ty, at)?;
        }
    }
    Ok(())
}

/// The same for the cell at `at` from BASE, of the type with the number `ty`.
fn relocate(
    image: &mut SparseImage,
    from: &Artifact<'_>,
    to: &Artifact<'_>,
    ty: U32,
    at: i64,
) -> Result<(), ArtifactError> {
    if !from.val_type(ty).is_ok_and(ValType::is_func_ref) {
        return Ok(());
    }
    let reference = FuncRef::from_bits(image.read_u64(at));
    if reference.is_null() {
        return Ok(());
    }
    let unknown = ArtifactError::Corrupt("a reference is to no function of the module");
    let index = from
        .functions()
        .binary_search_by_key(&reference.code, |record| record.text_offset.get())
        .map_err(|_| unknown.clone())?;
    let code = to.functions().get(index).ok_or(unknown)?.text_offset.get();
    image.write(at, &FuncRef { code, ..reference }.to_bits().to_le_bytes());
    Ok(())
}
