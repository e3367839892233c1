//! Sizes of values in linear memory: `alignment`, `elem_size` and the number of flat values, by `CanonicalABI.md`.

use super::types::{Type, TypeIndex};
use super::{MAX_DEPTH, MAX_FLAT_TYPE, MAX_TYPE_BYTES};

/// The form of a type's values in linear memory, and on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Bytes in linear memory, without the contents of lists and strings; a multiple of the alignment.
    pub size: u32,
    /// Alignment in bytes: 1, 2, 4 or 8.
    pub align: u32,
    /// Number of core values when flattened.
    pub flat: u32,
    /// Bytes from the discriminant of a variant (also an option, a result) to the value of its case; the
    /// discriminant itself has 1, 2 or 4 bytes. Zero for others.
    pub payload: u32,
    /// Nesting depth, 1 for a type that contains no other.
    pub depth: u32,
}

/// The layouts of all types, by their index; `None` if a type refers to a later one, or is larger than
/// the [limits](super). Takes time in proportion to the types.
pub fn layouts(types: &[Type]) -> Option<Vec<Layout>> {
    let mut layouts: Vec<Layout> = Vec::with_capacity(types.len());
    for ty in types {
        let layout = Layout::of(ty, &layouts)?;
        let fits = layout.size <= MAX_TYPE_BYTES
            && layout.flat <= MAX_FLAT_TYPE
            && layout.depth as usize <= MAX_DEPTH;
        layouts.push(fits.then_some(layout)?);
    }
    Some(layouts)
}

/// Bytes of the discriminant of a variant with so many cases.
pub const fn discriminant_bytes(cases: usize) -> u32 {
    match cases {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

impl Layout {
    fn of(ty: &Type, known: &[Layout]) -> Option<Layout> {
        let of = |index: &TypeIndex| known.get(index.index()).copied();
        let parts = ty.parts().iter().map(of).collect::<Option<Vec<_>>>()?;
        let depth = 1 + parts.iter().map(|part| part.depth).max().unwrap_or(0);
        let layout = match ty {
            Type::Bool | Type::S8 | Type::U8 => scalar(1),
            Type::S16 | Type::U16 => scalar(2),
            Type::S32 | Type::U32 | Type::F32 | Type::Char => scalar(4),
            Type::S64 | Type::U64 | Type::F64 => scalar(8),
            Type::Own(_) | Type::Borrow(_) | Type::Stream(_) | Type::Future(_) => scalar(4),
            Type::String | Type::List(_) => Layout { size: 8, align: 4, flat: 2, ..scalar(4) },
            Type::FixedList(_, length) => repeated(*parts.first()?, *length),
            Type::Record(_) | Type::Tuple(_) => sequence(&parts),
            Type::Variant(cases) => variant(cases.len(), &parts),
            Type::Enum(cases) => variant(cases.len(), &[]),
            Type::Option(_) | Type::Result { .. } => variant(2, &parts),
            Type::Flags(names) => scalar(flag_bytes(names.len())?),
        };
        Some(Layout { depth, ..layout })
    }
}

const fn scalar(bytes: u32) -> Layout {
    Layout { size: bytes, align: bytes, flat: 1, payload: 0, depth: 1 }
}

/// Bytes of so many flags, if there can be as many.
fn flag_bytes(flags: usize) -> Option<u32> {
    match flags {
        1..=8 => Some(1),
        9..=16 => Some(2),
        17..=32 => Some(4),
        _ => None,
    }
}

fn repeated(element: Layout, length: u32) -> Layout {
    Layout {
        size: element.size.saturating_mul(length),
        flat: element.flat.saturating_mul(length),
        ..element
    }
}

fn sequence(parts: &[Layout]) -> Layout {
    let mut all = Layout { align: 1, ..Layout::default() };
    for part in parts {
        all.size = aligned(all.size, part.align).saturating_add(part.size);
        all.align = all.align.max(part.align);
        all.flat = all.flat.saturating_add(part.flat);
    }
    all.size = aligned(all.size, all.align);
    all
}

fn variant(cases: usize, parts: &[Layout]) -> Layout {
    let discriminant = discriminant_bytes(cases);
    let largest = |part: fn(&Layout) -> u32| parts.iter().map(part).max().unwrap_or(0);
    let align = discriminant.max(largest(|part| part.align));
    let payload = aligned(discriminant, largest(|part| part.align).max(1));
    let size = aligned(payload.saturating_add(largest(|part| part.size)), align);
    let flat = largest(|part| part.flat).saturating_add(1);
    Layout { size, align, flat, payload, depth: 1 }
}

/// `size` up to the next multiple of `align`, or the largest number.
fn aligned(size: u32, align: u32) -> u32 {
    size.checked_next_multiple_of(align).unwrap_or(u32::MAX)
}
