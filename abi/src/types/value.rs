//! Value types, and the numbers that stand for them in artifacts.

use super::TypeHash;
use crate::description::Item;
use core::fmt;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// A reference.
    Ref(RefType),
}

/// The type of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefType {
    /// Whether it may be null.
    pub nullable: bool,
    /// The kind of thing it refers to.
    pub heap: HeapType,
}

/// The kind of thing a reference refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HeapType {
    /// A function of any type.
    Func,
    /// A function of this type.
    Concrete(TypeHash),
    /// No function: only null.
    NoFunc,
    /// A host object.
    Extern,
    /// No host object: only null.
    NoExtern,
    /// An exception.
    Exn,
    /// No exception: only null.
    NoExn,
}

macro_rules! codes {
    ($($byte:literal, $name:literal, $ty:expr;)*) => {
        /// The bytes of value types: the binary format's (Core Specification 5.3) for nullable
        /// references and numbers.
        const CODES: &[(u8, ValType)] = &[$(($byte, $ty),)*];

        /// The types by byte, for the description of the ABI.
        pub(crate) const TYPE_CODES: &[Item] = &[$(Item { name: $name, number: $byte },)*];
    };
}

codes! {
    0x7f, "i32", ValType::I32;
    0x7e, "i64", ValType::I64;
    0x7d, "f32", ValType::F32;
    0x7c, "f64", ValType::F64;
    0x7b, "v128", ValType::V128;
    0x74, "nullexnref", nullable(HeapType::NoExn);
    0x73, "nullfuncref", nullable(HeapType::NoFunc);
    0x72, "nullexternref", nullable(HeapType::NoExtern);
    0x70, "funcref", nullable(HeapType::Func);
    0x6f, "externref", nullable(HeapType::Extern);
    0x69, "exnref", nullable(HeapType::Exn);
}

/// The byte of a nullable reference to a concrete type.
const CONCRETE: u8 = 0x63;

/// This bit is clear in the bytes of references that are not nullable.
const NULLABLE: u8 = 0x40;

const fn nullable(heap: HeapType) -> ValType {
    ValType::Ref(RefType { nullable: true, heap })
}

impl ValType {
    /// A function of any type, or null.
    pub const FUNCREF: ValType = nullable(HeapType::Func);
    /// A host object, or null.
    pub const EXTERNREF: ValType = nullable(HeapType::Extern);
    /// An exception, or null.
    pub const EXNREF: ValType = nullable(HeapType::Exn);

    /// The number that stands for the type in an artifact: a byte, and above it the index of the
    /// concrete type, as `index_of` knows it; `None` if it does not.
    pub fn encode(self, index_of: impl FnOnce(TypeHash) -> Option<u32>) -> Option<u32> {
        let (byte, index) = match self {
            ValType::Ref(RefType { nullable, heap: HeapType::Concrete(hash) }) => {
                (CONCRETE & if nullable { !0 } else { !NULLABLE }, index_of(hash)?)
            }
            ValType::Ref(RefType { nullable: false, heap }) => {
                (code_of(self::nullable(heap))? & !NULLABLE, 0)
            }
            other => (code_of(other)?, 0),
        };
        (index < 1 << 24).then_some(index << 8 | u32::from(byte))
    }

    /// The reverse of [`ValType::encode`]; `hash_of` gives the type with an index.
    pub fn decode(code: u32, hash_of: impl FnOnce(u32) -> Option<TypeHash>) -> Option<ValType> {
        let (byte, index) = (code as u8, code >> 8);
        let found = |byte| CODES.iter().find(|(known, _)| *known == byte).map(|(_, ty)| *ty);
        if byte | NULLABLE == CONCRETE {
            let heap = HeapType::Concrete(hash_of(index)?);
            return Some(ValType::Ref(RefType { nullable: byte & NULLABLE != 0, heap }));
        }
        match (found(byte), found(byte | NULLABLE)) {
            _ if index != 0 => None,
            (Some(ty), _) => Some(ty),
            (None, Some(ValType::Ref(ty))) => Some(ValType::Ref(RefType { nullable: false, ..ty })),
            _ => None,
        }
    }

    /// Whether values of this type are references.
    pub const fn is_ref(self) -> bool {
        matches!(self, ValType::Ref(_))
    }

    /// Whether values of this type are references to functions, which are in the terms of the
    /// instance that holds them.
    pub const fn is_func_ref(self) -> bool {
        matches!(
            self,
            ValType::Ref(RefType {
                heap: HeapType::Func | HeapType::Concrete(_) | HeapType::NoFunc,
                ..
            })
        )
    }

    /// Whether values of this type are references to host objects.
    pub const fn is_extern_ref(self) -> bool {
        matches!(self, ValType::Ref(RefType { heap: HeapType::Extern | HeapType::NoExtern, .. }))
    }

    /// Whether values of this type are references to exceptions.
    pub const fn is_exn_ref(self) -> bool {
        matches!(self, ValType::Ref(RefType { heap: HeapType::Exn | HeapType::NoExn, .. }))
    }

    /// Whether every value of this type is one of type `wanted` too (Core Specification 3.0,
    /// "Matching"). Types of functions have no declared supertypes here.
    pub fn matches(self, wanted: ValType) -> bool {
        match (self, wanted) {
            (ValType::Ref(given), ValType::Ref(wanted)) => {
                (wanted.nullable || !given.nullable) && given.heap.matches(wanted.heap)
            }
            (given, wanted) => given == wanted,
        }
    }
}

fn code_of(ty: ValType) -> Option<u8> {
    CODES.iter().find(|(_, known)| *known == ty).map(|(byte, _)| *byte)
}

impl HeapType {
    fn matches(self, wanted: HeapType) -> bool {
        use HeapType::{Concrete, Exn, Extern, Func, NoExn, NoExtern, NoFunc};
        self == wanted
            || matches!(
                (self, wanted),
                (Concrete(_) | NoFunc, Func)
                    | (NoFunc, Concrete(_))
                    | (NoExtern, Extern)
                    | (NoExn, Exn)
            )
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValType::I32 => f.write_str("i32"),
            ValType::I64 => f.write_str("i64"),
            ValType::F32 => f.write_str("f32"),
            ValType::F64 => f.write_str("f64"),
            ValType::V128 => f.write_str("v128"),
            ValType::Ref(ty) => ty.fmt(f),
        }
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heap = match self.heap {
            HeapType::Func => "func",
            HeapType::NoFunc => "nofunc",
            HeapType::Extern => "extern",
            HeapType::NoExtern => "noextern",
            HeapType::Exn => "exn",
            HeapType::NoExn => "noexn",
            HeapType::Concrete(hash) => {
                let null = if self.nullable { "null " } else { "" };
                return write!(f, "(ref {null}type:{hash:?})");
            }
        };
        match (self.nullable, heap.strip_prefix("no")) {
            (true, None) => write!(f, "{heap}ref"),
            (true, Some(heap)) => write!(f, "null{heap}ref"),
            (false, _) => write!(f, "(ref {heap})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_types_agree() {
        let hash = TypeHash([7; 32]);
        let mut known = 0;
        for code in 0..=0x1ff {
            let decoded = ValType::decode(code, |index| (index == 1).then_some(hash));
            if let Some(ty) = decoded {
                assert_eq!(ty.encode(|found| (found == hash).then_some(1)), Some(code));
                known += 1;
            }
        }
        // Five numbers, six abstract references, nullable or not, and two concrete ones.
        assert_eq!(known, 5 + 12 + 2);
    }

    #[test]
    fn subtypes_are_those_of_the_specification() {
        let concrete = HeapType::Concrete(TypeHash([1; 32]));
        let of = |nullable, heap| ValType::Ref(RefType { nullable, heap });
        assert!(of(false, concrete).matches(ValType::FUNCREF));
        assert!(of(true, HeapType::NoFunc).matches(of(true, concrete)));
        assert!(!of(true, concrete).matches(of(false, HeapType::Func)));
        assert!(!ValType::FUNCREF.matches(of(true, concrete)));
        assert!(!ValType::EXTERNREF.matches(ValType::FUNCREF));
        assert!(!ValType::I32.matches(ValType::I64));
    }

    #[test]
    fn codes_have_the_names_of_their_types() {
        for ((byte, ty), item) in CODES.iter().zip(TYPE_CODES) {
            assert_eq!((i64::from(*byte), ty.to_string().as_str()), (item.number, item.name));
        }
    }

    #[test]
    fn names_are_those_of_the_text_format() {
        assert_eq!(ValType::FUNCREF.to_string(), "funcref");
        let none = ValType::Ref(RefType { nullable: true, heap: HeapType::NoExtern });
        assert_eq!(none.to_string(), "nullexternref");
        let some = ValType::Ref(RefType { nullable: false, heap: HeapType::Exn });
        assert_eq!(some.to_string(), "(ref exn)");
    }
}
