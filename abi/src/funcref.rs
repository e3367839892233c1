//! Function references.

use crate::description::records;
use core::mem::offset_of;

records! {
    RECORDS = derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default);

    /// A function reference: eight bytes of plain data, so that tables and globals can be captured,
    /// shipped and restored like any other bytes.
    ///
    /// ```text
    ///   0            4            8
    ///   | code offset | type id    |     zero = null
    /// ```
    ///
    /// *Native* references name a function by its offset in the text of the instance that holds the
    /// value, and its type by a number that only the instance's module knows. *Foreign* ones have
    /// [`FuncRef::FOREIGN`] in place of a type: they name a function of another instance or of the host
    /// by its index in the store's list of foreign functions, which has its type. So they mean the same
    /// in every instance, and one compare in `call_indirect` tells null, wrong type and foreign from
    /// the fast path.
    FuncRef {
        /// Bytes from the start of the text, or the index of a foreign function.
        code: u32,
        /// [`FuncRef::type_id`], or [`FuncRef::FOREIGN`].
        type_id: u32,
    }
}

impl FuncRef {
    /// The null reference.
    pub const NULL: FuncRef = FuncRef { code: 0, type_id: 0 };

    /// The mark of a foreign function, in place of a type id. No type id has this bit.
    pub const FOREIGN: u32 = 1 << 31;

    /// The lowest bit of `code` in [`FuncRef::to_bits`].
    pub const CODE_BIT: u32 = 8 * offset_of!(FuncRef, code) as u32;

    /// The lowest bit of `type_id` in [`FuncRef::to_bits`].
    pub const TYPE_BIT: u32 = 8 * offset_of!(FuncRef, type_id) as u32;

    /// The type id of a module's types that are equal to type `first`, the first of them. Never zero;
    /// modules have at most a million types.
    pub const fn type_id(first: u32) -> u32 {
        first + 1
    }

    /// A reference to the function at `code` bytes into the holder's text.
    pub const fn new(code: u32, type_id: u32) -> Self {
        FuncRef { code, type_id }
    }

    /// A reference to the foreign function `index` of the store.
    pub const fn foreign(index: u32) -> Self {
        FuncRef { code: index, type_id: Self::FOREIGN }
    }

    /// Whether this is the null reference.
    pub const fn is_null(self) -> bool {
        self.type_id == 0
    }

    /// Whether this names a function outside the instance that holds it.
    pub const fn is_foreign(self) -> bool {
        self.type_id & Self::FOREIGN != 0
    }

    /// The eight bytes as a little-endian number.
    pub const fn to_bits(self) -> u64 {
        (self.type_id as u64) << Self::TYPE_BIT | (self.code as u64) << Self::CODE_BIT
    }

    /// The reverse of [`FuncRef::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        FuncRef { code: (bits >> Self::CODE_BIT) as u32, type_id: (bits >> Self::TYPE_BIT) as u32 }
    }
}
