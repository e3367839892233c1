//! Recursion groups: function types as they are written, before they have an identity.

use super::{FuncType, HeapType, RefType, TypeHash, ValType};

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

impl GroupMember {
    pub(super) fn resolve(&self, hash: TypeHash, hashes: &[TypeHash]) -> FuncType {
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

pub(super) fn group_hash(members: &[GroupMember]) -> blake3::Hash {
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

pub(super) fn member_hash(group: blake3::Hash, index: usize) -> TypeHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(group.as_bytes()).update(&(index as u64).to_le_bytes());
    TypeHash(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
