//! Blocks of parameters, and how much one call passes.

use super::*;

/// The parameters of a function of so many `u64`, whose block is at this address.
fn block_of(count: usize, memory: &[u8], at: u32) -> Result<Vec<Value>, Violation> {
    let types = vec![Type::U64];
    let component = Component::new(Bindings { types, ..Bindings::default() }).expect("small");
    let params = vec![Param { name: String::new(), ty: TypeIndex(0) }; count];
    let function = Function { params, ..Function::default() };
    let resources = Resources::default();
    let lift = Lift::new(&component, memory, &resources, StringEncoding::Utf8);
    let are_flat = component.flat_params(&function) <= MAX_FLAT_PARAMS;
    lift.params(&function, are_flat, &[at.into()])
}

#[test]
fn a_block_of_parameters_is_aligned_and_may_end_with_memory() {
    let memory = [0; 256];
    assert_eq!(block_of(17, &memory, 256 - 17 * 8), Ok(vec![Value::U64(0); 17]));
    assert_eq!(block_of(17, &memory, 4), Err(Violation::Misaligned));
    assert_eq!(block_of(17, &memory, 128), Err(Violation::OutOfBounds));
    // Zeros that nobody touches take no memory of the host.
    let all = vec![0; 1 << 32];
    assert_eq!(block_of(17, &all, u32::MAX - 17 * 8 + 1), Ok(vec![Value::U64(0); 17]));
}

#[test]
fn one_call_passes_so_many_values() {
    let (component, index) = component(&Ty::List(Box::new(Ty::Scalar(Type::U16))));
    let list = |len: u32| {
        let mut memory = vec![0; 1 << 15];
        memory[4..8].copy_from_slice(&len.to_le_bytes());
        lifted(&component, index, &memory, 0, StringEncoding::Utf8)
    };
    assert!(list(8_191).is_ok(), "they are 8192 with the list");
    assert_eq!(list(8_192), Err(Violation::TooLarge));
}
