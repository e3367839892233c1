//! Value and function types.

/// The type of a value, with the byte the binary format gives it (Core Specification 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ValType {
    /// 32-bit integer.
    I32 = 0x7f,
    /// 64-bit integer.
    I64 = 0x7e,
    /// 32-bit float.
    F32 = 0x7d,
    /// 64-bit float.
    F64 = 0x7c,
    /// 128-bit vector.
    V128 = 0x7b,
    /// Reference to a function, or null.
    FuncRef = 0x70,
    /// Reference to a host object, or null.
    ExternRef = 0x6f,
}

impl ValType {
    /// The type with this byte, if there is one.
    pub const fn from_byte(byte: u8) -> Option<ValType> {
        Some(match byte {
            0x7f => ValType::I32,
            0x7e => ValType::I64,
            0x7d => ValType::F32,
            0x7c => ValType::F64,
            0x7b => ValType::V128,
            0x70 => ValType::FuncRef,
            0x6f => ValType::ExternRef,
            _ => return None,
        })
    }

    /// Whether values of this type are references.
    pub const fn is_ref(self) -> bool {
        matches!(self, ValType::FuncRef | ValType::ExternRef)
    }

    /// The name in the text format.
    pub const fn name(self) -> &'static str {
        match self {
            ValType::I32 => "i32",
            ValType::I64 => "i64",
            ValType::F32 => "f32",
            ValType::F64 => "f64",
            ValType::V128 => "v128",
            ValType::FuncRef => "funcref",
            ValType::ExternRef => "externref",
        }
    }
}

impl core::fmt::Display for ValType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// The type of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FuncType {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
}

impl FuncType {
    /// A function from `params` to `results`.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Self {
        FuncType { params: params.into_iter().collect(), results: results.into_iter().collect() }
    }

    /// Types of the parameters, in order.
    pub fn params(&self) -> &[ValType] {
        &self.params
    }

    /// Types of the results, in order.
    pub fn results(&self) -> &[ValType] {
        &self.results
    }

    /// 64-bit cells an argument array needs to hold the parameters, and later the results: one a
    /// value, two for a vector, never none.
    pub fn array_cells(&self) -> usize {
        let cells = |types: &[ValType]| -> usize {
            types.iter().map(|ty| if *ty == ValType::V128 { 2 } else { 1 }).sum()
        };
        cells(&self.params).max(cells(&self.results)).max(1)
    }

    /// The structural id in funcrefs: equal for equal types in every module, never zero, and
    /// without the [`FOREIGN`](crate::FuncRef::FOREIGN) bit. Different types could share an id
    /// (31 bits of BLAKE3); who mixes types of different modules must compare the types too.
    pub fn id(&self) -> u32 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.params.len() as u64).to_le_bytes());
        for ty in self.params.iter().chain(&self.results) {
            hasher.update(&[*ty as u8]);
        }
        let mut first = [0; 4];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
        (u32::from_le_bytes(first) & !crate::FuncRef::FOREIGN).max(1)
    }
}

impl core::fmt::Display for FuncType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let list =
            |types: &[ValType]| types.iter().map(|ty| ty.name()).collect::<Vec<_>>().join(", ");
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
        assert_ne!(a.id(), b.id());
        assert_eq!(a.id(), a.clone().id());
        assert_eq!(a.id() & crate::FuncRef::FOREIGN, 0);
    }

    #[test]
    fn bytes_and_types_agree() {
        for byte in 0..=255u8 {
            if let Some(ty) = ValType::from_byte(byte) {
                assert_eq!(ty as u8, byte);
            }
        }
    }
}
