//! Identity of types: two have one id in a module, or one identity in any two, if and only if a naive
//! comparison finds them equal; and there may be as many as a valid module has.

use proptest::prelude::*;
use std::collections::HashSet;
use wasm_encoder::{
    CompositeInnerType, CompositeType, FuncType, HeapType, Module, RefType, SubType, TypeSection,
    ValType,
};
use wfaas_abi::{Artifact, FuncRef};
use wfaas_compiler::{Options, compile};

/// A value type in a recursion group.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    I32,
    Func,
    /// A reference to a member of the group.
    Member(usize, bool),
    /// A reference to the type so far before the group; `I32` if there is none.
    Before(usize, bool),
}

#[derive(Debug, Clone)]
struct Member {
    params: Vec<Value>,
    results: Vec<Value>,
    is_final: bool,
}

/// The recursion groups of a module.
type Groups = Vec<Vec<Member>>;

/// The same with references by index; the type, and the first of its group.
struct Types(Vec<(Member, usize)>);

fn sub_type(params: Vec<ValType>, results: Vec<ValType>, is_final: bool) -> SubType {
    let inner = CompositeInnerType::Func(FuncType::new(params, results));
    let composite_type = CompositeType { inner, shared: false, describes: None, descriptor: None };
    SubType { is_final, supertype_idxs: Vec::new(), composite_type }
}

fn reference(index: usize, nullable: bool) -> ValType {
    ValType::Ref(RefType { nullable, heap_type: HeapType::Concrete(index as u32) })
}

impl Types {
    fn new(groups: &Groups) -> Types {
        let mut types = Vec::new();
        for group in groups {
            let first = types.len();
            let resolve = |value: &Value| match *value {
                Value::Member(at, nullable) => Value::Member(first + at % group.len(), nullable),
                Value::Before(far, nullable) if far < first => {
                    Value::Before(first - 1 - far, nullable)
                }
                Value::Before(..) => Value::I32,
                other => other,
            };
            for Member { params, results, is_final } in group {
                let (params, results) =
                    [params, results].map(|list| list.iter().map(resolve).collect()).into();
                types.push((Member { params, results, is_final: *is_final }, first));
            }
        }
        Types(types)
    }

    /// The members of the group that starts with type `first`.
    fn group(&self, first: usize) -> Vec<&Member> {
        self.0.iter().filter(|(_, start)| *start == first).map(|(member, _)| member).collect()
    }

    /// Naive equality: in groups that are equal, at the same place.
    fn equal(&self, ty: usize, others: &Types, other: usize) -> bool {
        let (first, other_first) = (self.0[ty].1, others.0[other].1);
        let (group, other_group) = (self.group(first), others.group(other_first));
        let value = |(own, other): (&Value, &Value)| match (*own, *other) {
            (Value::Member(a, nullable), Value::Member(b, other_nullable)) => {
                (a - first, nullable) == (b - other_first, other_nullable)
            }
            (Value::Before(a, nullable), Value::Before(b, other_nullable)) => {
                nullable == other_nullable && self.equal(a, others, b)
            }
            (own, other) => own == other,
        };
        let list = |own: &[Value], other: &[Value]| {
            own.len() == other.len() && own.iter().zip(other).all(value)
        };
        ty - first == other - other_first
            && group.len() == other_group.len()
            && group.iter().zip(other_group).all(|(own, other)| {
                own.is_final == other.is_final
                    && list(&own.params, &other.params)
                    && list(&own.results, &other.results)
            })
    }

    fn artifact(&self) -> Vec<u8> {
        let list = |values: &[Value]| -> Vec<ValType> {
            let encode = |value: &Value| match *value {
                Value::I32 => ValType::I32,
                Value::Func => ValType::FUNCREF,
                Value::Member(at, nullable) | Value::Before(at, nullable) => {
                    reference(at, nullable)
                }
            };
            values.iter().map(encode).collect()
        };
        let mut section = TypeSection::new();
        for (index, (_, first)) in self.0.iter().enumerate() {
            if index == *first {
                let members = self.group(*first).into_iter();
                section.ty().rec(members.map(|member| {
                    sub_type(list(&member.params), list(&member.results), member.is_final)
                }));
            }
        }
        build(&section)
    }
}

fn build(types: &TypeSection) -> Vec<u8> {
    let mut module = Module::new();
    module.section(types);
    compile(&module.finish(), &Options::default()).expect("compiles").artifact
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    let value = prop_oneof![
        Just(Value::I32),
        Just(Value::Func),
        (0..2_usize, any::<bool>()).prop_map(|(at, nullable)| Value::Member(at, nullable)),
        (0..3_usize, any::<bool>()).prop_map(|(far, nullable)| Value::Before(far, nullable)),
    ];
    prop::collection::vec(value, 0..3)
}

fn groups(most: usize) -> impl Strategy<Value = Groups> {
    let member = (values(), values(), any::<bool>());
    let member =
        member.prop_map(|(params, results, is_final)| Member { params, results, is_final });
    prop::collection::vec(prop::collection::vec(member, 1..3), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two modules have some groups in common, after others, and each of them has some of them twice.
    #[test]
    fn types_are_equal_where_a_naive_comparison_finds_them_equal(
        before in groups(3), common in groups(4), left in groups(3), right in groups(3),
    ) {
        let left = Types::new(&[&common[..], &left, &common].concat());
        let right = Types::new(&[&before[..], &common, &right, &before].concat());
        let files = [left.artifact(), right.artifact()];
        let [left_file, right_file] = files.each_ref().map(|file| Artifact::parse(file).unwrap());
        for (index, own) in left_file.types().iter().enumerate() {
            for (other_index, other) in left_file.types().iter().enumerate() {
                let equal = left.equal(index, &left, other_index);
                prop_assert_eq!(own.id == other.id, equal, "ids of {} and {}", index, other_index);
                prop_assert_eq!(own.hash == other.hash, equal);
            }
            let ty = left_file.func_type(index as u32).unwrap();
            for (other_index, other) in right_file.types().iter().enumerate() {
                let equal = left.equal(index, &right, other_index);
                prop_assert_eq!(own.hash == other.hash, equal, "{} and {}", index, other_index);
                prop_assert_eq!(ty == right_file.func_type(other_index as u32).unwrap(), equal);
            }
        }
    }
}

const MANY: usize = 60_000;

/// The ids of a module's types, and how many of them and of the identities are different.
fn count(section: &TypeSection) -> (usize, usize) {
    let file = build(section);
    let artifact = Artifact::parse(&file).unwrap();
    assert_eq!(artifact.types().len(), MANY);
    let ids: HashSet<u32> = artifact.types().iter().map(|ty| ty.id.get()).collect();
    assert!(ids.iter().all(|id| *id != 0 && id & FuncRef::FOREIGN == 0));
    let hashes: HashSet<[u8; 32]> = artifact.types().iter().map(|ty| ty.hash).collect();
    (ids.len(), hashes.len())
}

/// Parameters that are different for each number.
fn bits(number: usize) -> Vec<ValType> {
    let bit = |at: usize| if number >> at & 1 == 1 { ValType::I32 } else { ValType::I64 };
    (0..17).map(bit).collect()
}

#[test]
fn a_module_may_have_very_many_types() {
    let (mut different, mut equal, mut chain) =
        (TypeSection::new(), TypeSection::new(), TypeSection::new());
    for number in 0..MANY {
        different.ty().function(bits(number), []);
        equal.ty().function([ValType::I32], []);
        let before = number.checked_sub(1).map(|before| reference(before, true));
        chain.ty().function(before, []);
    }
    let mut group = TypeSection::new();
    group.ty().rec((0..MANY).map(|_| sub_type(vec![ValType::I32], vec![], true)));
    assert_eq!(count(&different), (MANY, MANY));
    assert_eq!(count(&equal), (1, 1));
    assert_eq!(count(&chain), (MANY, MANY), "each refers to the one before");
    assert_eq!(count(&group), (MANY, MANY), "members of one group");
}
