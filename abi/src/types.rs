//! Value and function types.

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
    /// What it refers to.
    pub heap: HeapType,
}

/// What a reference refers to.
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

/// The identity of a function type, the same in every module: a hash of its recursion group and
/// its place in it (Core Specification 3.0, "Rolling and Unrolling").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TypeHash(pub [u8; 16]);

impl fmt::Debug for TypeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]))
    }
}

/// The bytes of value types: those of the binary format (Core Specification 5.3) for nullable
/// references and numbers.
const CODES: &[(u8, ValType)] = &[
    (0x7f, ValType::I32),
    (0x7e, ValType::I64),
    (0x7d, ValType::F32),
    (0x7c, ValType::F64),
    (0x7b, ValType::V128),
    (0x74, nullable(HeapType::NoExn)),
    (0x73, nullable(HeapType::NoFunc)),
    (0x72, nullable(HeapType::NoExtern)),
    (0x70, nullable(HeapType::Func)),
    (0x6f, nullable(HeapType::Extern)),
    (0x69, nullable(HeapType::Exn)),
];

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

/// The type of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FuncType {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
    hash: TypeHash,
}

/// A function type as it is written, in a recursion group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Types of the parameters, in order.
    pub params: Vec<GroupValType>,
    /// Types of the results, in order.
    pub results: Vec<GroupValType>,
    /// Whether it may have no subtypes.
    pub is_final: bool,
}

/// A value type as it is written in a recursion group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupValType {
    /// A type that does not depend on the group.
    Known(ValType),
    /// A reference to a member of the group.
    Member {
        /// Which.
        index: u32,
        /// Whether it may be null.
        nullable: bool,
    },
}

impl From<ValType> for GroupValType {
    fn from(ty: ValType) -> Self {
        GroupValType::Known(ty)
    }
}

impl FuncType {
    /// A function from `params` to `results`.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Self {
        let list = |types: Vec<ValType>| types.into_iter().map(GroupValType::Known).collect();
        let member = GroupMember {
            params: list(params.into_iter().collect()),
            results: list(results.into_iter().collect()),
            is_final: true,
        };
        let hash = member_hash(group_hash(std::slice::from_ref(&member)), 0);
        member.resolve(hash, &[hash])
    }

    /// The types of a recursion group, in order.
    pub fn group(members: &[GroupMember]) -> Vec<FuncType> {
        let group = group_hash(members);
        let hashes: Vec<TypeHash> =
            (0..members.len()).map(|index| member_hash(group, index)).collect();
        members.iter().zip(&hashes).map(|(member, hash)| member.resolve(*hash, &hashes)).collect()
    }

    /// A type whose identity is known.
    pub fn with_hash(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
        hash: TypeHash,
    ) -> Self {
        let (params, results) = (params.into_iter().collect(), results.into_iter().collect());
        FuncType { params, results, hash }
    }

    /// Types of the parameters, in order.
    pub fn params(&self) -> &[ValType] {
        &self.params
    }

    /// Types of the results, in order.
    pub fn results(&self) -> &[ValType] {
        &self.results
    }

    /// The type's identity: two types are the same if and only if these are equal.
    pub fn hash(&self) -> TypeHash {
        self.hash
    }

    /// 64-bit cells an argument array needs to hold the parameters, and later the results: one a
    /// value, two for a vector, never none.
    pub fn array_cells(&self) -> usize {
        cells_of(&self.params).max(cells_of(&self.results)).max(1)
    }

    /// Whether compiled code passes a host function of this type its arguments in registers, and
    /// gets the result in one; otherwise they are in an array. See
    /// [`FuncImport`](crate::context::FuncImport).
    pub fn passes_in_registers(&self) -> bool {
        let scalar = |ty: &ValType| *ty != ValType::V128;
        self.params.len() <= REGISTER_PARAMS
            && self.results.len() <= 1
            && self.params.iter().chain(&self.results).all(scalar)
    }

    /// The short id in funcrefs: equal for equal types in every module, never zero, and without
    /// the [`FOREIGN`](crate::FuncRef::FOREIGN) bit. Different types could share an id (it is 31
    /// bits of the hash); who mixes types of different modules must compare the types too.
    pub fn id(&self) -> u32 {
        let [a, b, c, d, ..] = self.hash.0;
        (u32::from_le_bytes([a, b, c, d]) & !crate::FuncRef::FOREIGN).max(1)
    }
}

/// Most parameters of a host function that are passed in registers: System V has six for integers,
/// and two are the VM's.
pub const REGISTER_PARAMS: usize = 4;

/// 64-bit cells that values of these types need: one a value, two for a vector.
pub fn cells_of(types: &[ValType]) -> usize {
    types.iter().map(|ty| if *ty == ValType::V128 { 2 } else { 1 }).sum()
}

impl GroupMember {
    fn resolve(&self, hash: TypeHash, hashes: &[TypeHash]) -> FuncType {
        let list = |types: &[GroupValType]| -> Vec<ValType> {
            types.iter().map(|ty| ty.resolve(hashes)).collect()
        };
        FuncType::with_hash(list(&self.params), list(&self.results), hash)
    }
}

impl GroupValType {
    fn resolve(self, hashes: &[TypeHash]) -> ValType {
        match self {
            GroupValType::Known(ty) => ty,
            GroupValType::Member { index, nullable } => {
                let heap = HeapType::Concrete(hashes[index as usize]);
                ValType::Ref(RefType { nullable, heap })
            }
        }
    }

    fn hash_into(self, hasher: &mut blake3::Hasher) {
        match self {
            GroupValType::Known(ValType::Ref(RefType {
                nullable,
                heap: HeapType::Concrete(hash),
            })) => {
                hasher.update(&[1, u8::from(nullable)]).update(&hash.0);
            }
            GroupValType::Known(ty) => {
                let code = ty.encode(|_| None).expect("all types but concrete ones have a code");
                hasher.update(&[0]).update(&code.to_le_bytes());
            }
            GroupValType::Member { index, nullable } => {
                hasher.update(&[2, u8::from(nullable)]).update(&index.to_le_bytes());
            }
        }
    }
}

fn group_hash(members: &[GroupMember]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for member in members {
        hasher.update(&[u8::from(member.is_final)]);
        for list in [&member.params, &member.results] {
            hasher.update(&(list.len() as u64).to_le_bytes());
            for ty in list {
                ty.hash_into(&mut hasher);
            }
        }
    }
    hasher.finalize()
}

fn member_hash(group: blake3::Hash, index: usize) -> TypeHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(group.as_bytes()).update(&(index as u64).to_le_bytes());
    let mut hash = TypeHash::default();
    hash.0.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    hash
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |types: &[ValType]| types.iter().map(ValType::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "({}) -> ({})", list(&self.params), list(&self.results))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_parameters_from_results() {
        let a = FuncType::new([ValType::I32], []);
        let b = FuncType::new([], [ValType::I32]);
        assert_ne!(a.hash(), b.hash());
        assert_ne!(a.id(), b.id());
        assert_eq!(a.id(), FuncType::new([ValType::I32], []).id());
        assert_eq!(a.id() & crate::FuncRef::FOREIGN, 0);
    }

    #[test]
    fn codes_and_types_agree() {
        let hash = TypeHash([7; 16]);
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
    fn groups_are_equal_by_structure() {
        let to = |index| GroupMember {
            params: vec![GroupValType::Member { index, nullable: false }],
            results: vec![],
            is_final: true,
        };
        let pair = FuncType::group(&[to(1), to(0)]);
        assert_eq!(pair, FuncType::group(&[to(1), to(0)]));
        assert_ne!(pair[0], pair[1], "members of a group are different types");
        assert_ne!(FuncType::group(&[to(0)])[0], pair[0]);
        let open = GroupMember { is_final: false, ..to(0) };
        assert_ne!(FuncType::group(&[to(0)]), FuncType::group(&[open]));
    }

    #[test]
    fn subtypes_are_those_of_the_specification() {
        let concrete = HeapType::Concrete(TypeHash([1; 16]));
        let of = |nullable, heap| ValType::Ref(RefType { nullable, heap });
        assert!(of(false, concrete).matches(ValType::FUNCREF));
        assert!(of(true, HeapType::NoFunc).matches(of(true, concrete)));
        assert!(!of(true, concrete).matches(of(false, HeapType::Func)));
        assert!(!ValType::FUNCREF.matches(of(true, concrete)));
        assert!(!ValType::EXTERNREF.matches(ValType::FUNCREF));
        assert!(!ValType::I32.matches(ValType::I64));
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
