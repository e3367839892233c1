//! Lifting and lowering against a model that is written straight from `CanonicalABI.md`.

mod limits;
mod long;
mod model;

use super::*;
use model::{MEMORY, Model, Ty};
use proptest::prelude::*;
use std::collections::BTreeMap;
use wfaas_vm::component::{Param, ResourceIndex, StringEncoding};

fn ty() -> impl Strategy<Value = Ty> {
    let scalars = [
        Type::Bool,
        Type::S8,
        Type::U8,
        Type::S16,
        Type::U16,
        Type::S32,
        Type::U32,
        Type::S64,
        Type::U64,
        Type::F32,
        Type::F64,
        Type::Char,
    ];
    let leaf = prop_oneof![
        4 => prop::sample::select(scalars.to_vec()).prop_map(Ty::Scalar),
        1 => Just(Ty::String),
        1 => prop_oneof![1_u32..5, 255_u32..260].prop_map(Ty::Enum),
        1 => (1_u32..33).prop_map(Ty::Flags),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(Ty::List),
            (boxed.clone(), 1_u32..4).prop_map(|(element, len)| Ty::Fixed(element, len)),
            prop::collection::vec(inner.clone(), 1..5).prop_map(Ty::Record),
            prop::collection::vec(prop::option::of(inner), 1..5).prop_map(Ty::Variant),
            boxed.clone().prop_map(Ty::Option),
            (prop::option::of(boxed.clone()), prop::option::of(boxed))
                .prop_map(|(ok, err)| Ty::Result(ok, err)),
        ]
    })
}

fn value(ty: &Ty) -> BoxedStrategy<Value> {
    match ty {
        Ty::Scalar(ty) => match ty {
            Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            Type::S8 => any::<i8>().prop_map(Value::S8).boxed(),
            Type::U8 => any::<u8>().prop_map(Value::U8).boxed(),
            Type::S16 => any::<i16>().prop_map(Value::S16).boxed(),
            Type::U16 => any::<u16>().prop_map(Value::U16).boxed(),
            Type::S32 => any::<i32>().prop_map(Value::S32).boxed(),
            Type::U32 => any::<u32>().prop_map(Value::U32).boxed(),
            Type::S64 => any::<i64>().prop_map(Value::S64).boxed(),
            Type::U64 => any::<u64>().prop_map(Value::U64).boxed(),
            Type::F32 => any::<u32>().prop_map(Value::F32).boxed(),
            Type::F64 => any::<u64>().prop_map(Value::F64).boxed(),
            _ => any::<char>().prop_map(Value::Char).boxed(),
        },
        Ty::String => prop_oneof!["[a-zà-ÿ]{0,9}", "\\PC{0,6}"].prop_map(Value::String).boxed(),
        Ty::List(element) if matches!(**element, Ty::Scalar(Type::U8)) => {
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes).boxed()
        }
        Ty::List(element) => {
            prop::collection::vec(value(element), 0..4).prop_map(Value::List).boxed()
        }
        Ty::Fixed(element, len) => {
            prop::collection::vec(value(element), *len as usize).prop_map(Value::List).boxed()
        }
        Ty::Record(fields) => {
            fields.iter().map(value).collect::<Vec<_>>().prop_map(Value::Record).boxed()
        }
        Ty::Flags(flags) => {
            let mask = (1_u64 << flags) - 1;
            any::<u32>().prop_map(move |bits| Value::Flags(bits & mask as u32)).boxed()
        }
        cases => {
            let cases = cases.cases().unwrap();
            (0..cases.len())
                .prop_flat_map(move |case| match &cases[case] {
                    Some(ty) => {
                        let some = move |value| Value::Case(case as u32, Some(Box::new(value)));
                        value(ty).prop_map(some).boxed()
                    }
                    None => Just(Value::Case(case as u32, None)).boxed(),
                })
                .boxed()
        }
    }
}

fn encoding() -> impl Strategy<Value = StringEncoding> {
    prop::sample::select(vec![
        StringEncoding::Utf8,
        StringEncoding::Utf16,
        StringEncoding::Latin1OrUtf16,
    ])
}

fn component(ty: &Ty) -> (Component, TypeIndex) {
    let mut types = Vec::new();
    let index = ty.add(&mut types);
    (Component::new(Bindings { types, ..Bindings::default() }).expect("small"), index)
}

/// With lists of bytes as the host has them.
fn owned(value: Value, memory: &[u8]) -> Value {
    let all = |values: Vec<Value>| values.into_iter().map(|value| owned(value, memory)).collect();
    match value {
        Value::Slice(Slice { ptr, len }) => {
            Value::Bytes(memory[ptr as usize..][..len as usize].to_vec())
        }
        Value::List(values) => Value::List(all(values)),
        Value::Record(values) => Value::Record(all(values)),
        Value::Case(case, Some(value)) => Value::Case(case, Some(Box::new(owned(*value, memory)))),
        other => other,
    }
}

fn lifted(
    component: &Component,
    ty: TypeIndex,
    memory: &[u8],
    at: u32,
    encoding: StringEncoding,
) -> Result<Value, Violation> {
    Lift::new(component, memory, &Resources::default(), encoding)
        .load(ty, at)
        .map(|value| owned(value, memory))
}

/// Stores a value as a guest's stub has it done. The blocks are in `at`, by address.
fn lowered(
    component: &Component,
    ty: TypeIndex,
    value: Value,
    encoding: StringEncoding,
) -> (Vec<u8>, BTreeMap<u32, u32>) {
    let mut memory = vec![0xA5; MEMORY];
    let (mut resources, mut blocks) = (Resources::default(), BTreeMap::new());
    let lower = Lower::new(component, &mut memory, &mut resources, encoding);
    let mut pending = lower.store(ty, value, 8).unwrap();
    let mut end = 8 + component.layout(ty).size;
    while let Some(left) = pending {
        let request = left.request(component);
        let (align, size) = ((request >> 32) as u32, request as u32);
        assert!(size > 0 && align.is_power_of_two(), "{request:#x}");
        let at = end.next_multiple_of(align);
        end = at + size;
        blocks.insert(at, size);
        pending = left.fill(component, &mut memory, &mut resources, at).unwrap();
    }
    (memory, blocks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn values_of_the_model_are_lifted(
        (ty, value) in ty().prop_flat_map(|ty| (Just(ty.clone()), value(&ty))),
        encoding in encoding(),
    ) {
        let (component, index) = component(&ty);
        let layout = component.layout(index);
        prop_assert_eq!(layout.size as usize, ty.size());
        prop_assert_eq!(layout.align as usize, ty.alignment());
        let mut model = Model::new(encoding);
        let at = model.allocate(ty.size(), ty.alignment());
        model.store(&ty, &value, at);
        prop_assert_eq!(lifted(&component, index, &model.memory, at as u32, encoding), Ok(value));
    }

    #[test]
    fn lowered_values_are_lifted_again(
        (ty, value) in ty().prop_flat_map(|ty| (Just(ty.clone()), value(&ty))),
        encoding in encoding(),
    ) {
        let (component, index) = component(&ty);
        let (memory, blocks) = lowered(&component, index, value.clone(), encoding);
        let mut model = Model::new(encoding);
        let at = model.allocate(ty.size(), ty.alignment());
        model.store(&ty, &value, at);
        // No byte is stored outside of the record and the blocks, and the record has as many bytes.
        let is_inside = |at: u32| {
            at < 8 + ty.size() as u32
                || blocks.range(..=at).next_back().is_some_and(|(start, size)| at < start + size)
        };
        for (at, byte) in memory.iter().enumerate().skip(8) {
            prop_assert!(*byte == 0xA5 || is_inside(at as u32), "{at}");
        }
        prop_assert_eq!(lifted(&component, index, &memory, 8, encoding), Ok(value));
    }

    #[test]
    fn whatever_a_guest_gives_is_lifted_or_refused(
        ty in ty(),
        memory in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..256),
        cells in prop::collection::vec(prop_oneof![0_u64..64, any::<u64>()], 0..17),
        at in prop_oneof![0_u32..256, any::<u32>()],
        encoding in encoding(),
    ) {
        let (component, index) = component(&ty);
        let _ = lifted(&component, index, &memory, at, encoding);
        let param = Param { name: String::new(), ty: index };
        let function = Function { params: vec![param], ..Function::default() };
        let resources = Resources::default();
        let are_flat = component.flat_params(&function) <= MAX_FLAT_PARAMS;
        let lift = Lift::new(&component, &memory, &resources, encoding);
        let _ = lift.params(&function, are_flat, &cells);
    }

    #[test]
    fn a_guest_that_allocates_anywhere_is_served_or_refused(
        (ty, value) in ty().prop_flat_map(|ty| (Just(ty.clone()), value(&ty))),
        addresses in prop::collection::vec(prop_oneof![0_u32..512, any::<u32>()], 1..20),
        encoding in encoding(),
    ) {
        let (component, index) = component(&ty);
        let mut memory = vec![0; 512];
        let mut resources = Resources::default();
        let lower = Lower::new(&component, &mut memory, &mut resources, encoding);
        let mut pending = lower.store(index, value, addresses[0]).ok().flatten();
        for at in addresses {
            let Some(left) = pending else { break };
            pending = left.fill(&component, &mut memory, &mut resources, at).ok().flatten();
        }
    }

    #[test]
    fn handles_are_those_of_a_map(operations in prop::collection::vec((0_u8..5, 1_u32..6), 1..60)) {
        let ty = ResourceIndex(0);
        let (mut resources, mut model) = (Resources::default(), BTreeMap::<u32, u32>::new());
        for (number, (operation, handle)) in (0_u32..).zip(operations) {
            match operation {
                0 | 1 => {
                    let new = resources.new_guest(ty, number).unwrap();
                    prop_assert!(model.insert(new, number).is_none());
                }
                2 => {
                    let expected = model.get(&handle).copied().ok_or(Violation::BadHandle(handle));
                    prop_assert_eq!(resources.rep(ty, handle), expected);
                }
                3 => {
                    let expected = model.remove(&handle).ok_or(Violation::BadHandle(handle));
                    prop_assert_eq!(resources.drop_handle(ty, handle), expected.map(Some));
                }
                _ => {
                    let other = ResourceIndex(1);
                    prop_assert_eq!(resources.rep(other, handle), Err(Violation::BadHandle(handle)));
                    prop_assert!(resources.drop_handle(other, handle).is_err());
                }
            }
            prop_assert_eq!(resources.len(), model.len());
        }
    }
}

/// Bytes by hand: `record { a: u8, b: string, c: option<u32>, d: flags { 10 } }`.
#[test]
fn a_record_has_the_bytes_of_the_canonical_abi() {
    let ty = Ty::Record(vec![
        Ty::Scalar(Type::U8),
        Ty::String,
        Ty::Option(Box::new(Ty::Scalar(Type::U32))),
        Ty::Flags(10),
    ]);
    let (component, index) = component(&ty);
    let value = Value::Record(vec![
        Value::U8(7),
        Value::String("hé".to_owned()),
        Value::some(Value::U32(0x0102_0304)),
        Value::Flags(0x201),
    ]);
    let (memory, blocks) = lowered(&component, index, value, StringEncoding::Utf8);
    let expected: [u8; 24] = [
        7, 0xA5, 0xA5, 0xA5, 32, 0, 0, 0, 3, 0, 0, 0, 1, 0xA5, 0xA5, 0xA5, 4, 3, 2, 1, 1, 2, 0xA5,
        0xA5,
    ];
    assert_eq!(memory[8..32], expected);
    assert_eq!(memory[32..35], *"hé".as_bytes());
    assert_eq!(blocks.into_iter().collect::<Vec<_>>(), [(32, 3)]);
}

#[test]
fn parents_go_after_their_children_and_bytes_are_counted() {
    let mut resources = Resources::default();
    let parent = resources.insert(1_u8).unwrap();
    let child = resources.insert_child("child", parent).unwrap();
    resources.give(parent, ResourceIndex(3)).unwrap();
    let dropped = resources.drop_handle(ResourceIndex(3), parent);
    assert_eq!(dropped, Err(Violation::HasChildren(parent)));
    assert_eq!(resources.take::<u8>(child), Err(Violation::BadHandle(child)));
    assert_eq!(resources.take::<&str>(child), Ok("child"));
    resources.keep(parent, MAX_KEPT_BYTES).unwrap();
    let other = resources.insert(2_u8).unwrap();
    assert!(resources.keep(other, 1).is_err());
    assert_eq!(resources.drop_handle(ResourceIndex(3), parent), Ok(None));
    resources.keep(other, MAX_KEPT_BYTES).unwrap();
}

#[test]
fn a_thing_for_which_there_is_no_room_is_not_added() {
    let mut resources = Resources::default();
    let large = resources.insert_kept((), MAX_KEPT_BYTES).unwrap();
    let refused = Violation::TooMuchKept { bytes: MAX_KEPT_BYTES };
    assert_eq!(resources.insert_kept(1_u8, 1), Err(refused));
    assert_eq!(resources.len(), 1);
    resources.take::<()>(large).unwrap();
    let handle = resources.insert_kept(1_u8, MAX_KEPT_BYTES).unwrap();
    assert_eq!(resources.take::<()>(handle), Err(Violation::BadHandle(handle)), "it is another");
    assert_eq!(resources.take::<u8>(handle), Ok(1));
    resources.insert_kept((), MAX_KEPT_BYTES).unwrap();
}

#[test]
fn a_handle_that_is_lent_stays() {
    let mut resources = Resources::default();
    let handle = resources.insert(()).unwrap();
    resources.lend(&[handle, handle]).unwrap();
    assert_eq!(resources.lend(&[handle + 1]), Err(Violation::BadHandle(handle + 1)));
    resources.return_lent(&[handle]);
    assert_eq!(resources.take::<()>(handle), Err(Violation::Lent(handle)));
    resources.return_lent(&[handle]);
    assert_eq!(resources.take::<()>(handle), Ok(()));
}

#[test]
fn a_handle_is_lent_to_so_many_calls_at_most() {
    let mut resources = Resources::default();
    let handle = resources.insert(()).unwrap();
    let many = vec![handle; u16::MAX.into()];
    resources.lend(&many).unwrap();
    assert_eq!(resources.lend(&[handle]), Err(Violation::TooManyWaiting));
    resources.return_lent(&many);
    assert_eq!(resources.take::<()>(handle), Ok(()));
}

#[test]
fn places_are_used_again_the_latest_first() {
    let mut resources = Resources::default();
    let handles: Vec<u32> = (0..20).map(|number| resources.insert(number).unwrap()).collect();
    assert_eq!(handles, (1..=20).collect::<Vec<u32>>());
    for handle in [3, 20, 1] {
        resources.take::<i32>(handle).unwrap();
        assert_eq!(resources.take::<i32>(handle), Err(Violation::BadHandle(handle)));
    }
    assert_eq!(resources.len(), 17);
    let again = [1, 20, 3, 21].map(|_| resources.insert(()).unwrap());
    assert_eq!((again, resources.len()), ([1, 20, 3, 21], 21));
}

#[test]
fn there_are_so_many_handles() {
    let mut resources = Resources::default();
    for _ in 0..MAX_HANDLES {
        resources.insert(()).unwrap();
    }
    assert_eq!(resources.insert(()), Err(Violation::TooManyHandles));
    resources.take::<()>(7).unwrap();
    assert_eq!(resources.insert(()), Ok(7));
}
