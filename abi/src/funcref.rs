//! Function references.

/// A function reference: eight bytes of plain data, so that tables and globals can be captured,
/// shipped and restored like any other bytes.
///
/// ```text
///   0            4            8
///   | code offset | type id    |     zero = null
/// ```
///
/// *Native* references (mark clear) name a function by its offset in the text of the instance that
/// holds the value. *Foreign* ones (mark set) name a function of another instance or of the host
/// by its index in the store's list of foreign functions. Since the mark is part of the type id,
/// one compare in `call_indirect` tells null, wrong type and foreign from the fast path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FuncRef {
    /// Bytes from the start of the text, or the index of a foreign function.
    pub code: u32,
    /// [`FuncType::id`](crate::FuncType::id), with [`FuncRef::FOREIGN`] set for foreign functions.
    pub type_id: u32,
}

impl FuncRef {
    /// The null reference.
    pub const NULL: FuncRef = FuncRef { code: 0, type_id: 0 };

    /// The mark of a foreign function, in `type_id`. No type id has this bit.
    pub const FOREIGN: u32 = 1 << 31;

    /// Offset of `code` in the eight bytes.
    pub const CODE_OFFSET: i32 = 0;

    /// Offset of `type_id` in the eight bytes.
    pub const TYPE_OFFSET: i32 = 4;

    /// A reference to the function at `code` bytes into the holder's text.
    pub const fn new(code: u32, type_id: u32) -> Self {
        FuncRef { code, type_id }
    }

    /// A reference to the foreign function `index` of the store.
    pub const fn foreign(index: u32, type_id: u32) -> Self {
        FuncRef { code: index, type_id: type_id | Self::FOREIGN }
    }

    /// Whether this is the null reference.
    pub const fn is_null(self) -> bool {
        self.type_id == 0
    }

    /// Whether this names a function outside the instance that holds it.
    pub const fn is_foreign(self) -> bool {
        self.type_id & Self::FOREIGN != 0
    }

    /// The value as a little-endian number: `code` in the low half.
    pub const fn to_bits(self) -> u64 {
        (self.type_id as u64) << 32 | self.code as u64
    }

    /// The reverse of [`FuncRef::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        FuncRef { code: bits as u32, type_id: (bits >> 32) as u32 }
    }
}
