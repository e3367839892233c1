//! Function types and their identity.

use super::ValType;
use super::group::{GroupMember, GroupValType, group_hash, member_hash};
use core::fmt;

/// The identity of a function type, the same in every module: BLAKE3 of its recursion group and its
/// place in it (Core Specification 3.0, "Rolling and Unrolling").
///
/// No table of types is needed to compare types of different modules, nor are they parsed when a
/// module is loaded. The digest has its full length, since a guest may choose its types: two with one
/// identity would take it 2¹²⁸ attempts, as two artifacts with one content hash would.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TypeHash(pub [u8; 32]);

impl fmt::Debug for TypeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]))
    }
}

/// The type of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FuncType {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
    hash: TypeHash,
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

    /// A type with a known identity.
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
}

/// Most parameters of a host function that are passed in registers: System V has six for integers,
/// and two are the VM's.
pub const REGISTER_PARAMS: usize = 4;

/// Bytes of a cell of an argument array.
pub const CELL_BYTES: usize = size_of::<u64>();

/// 64-bit cells that values of these types need: one a value, two for a vector.
pub fn cells_of(types: &[ValType]) -> usize {
    types.iter().map(|ty| if *ty == ValType::V128 { 2 } else { 1 }).sum()
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
    fn hashes_tell_parameters_from_results() {
        let a = FuncType::new([ValType::I32], []);
        let b = FuncType::new([], [ValType::I32]);
        assert_ne!(a.hash(), b.hash());
        assert_eq!(a.hash(), FuncType::new([ValType::I32], []).hash());
    }
}
