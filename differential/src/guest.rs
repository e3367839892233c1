//! What all engines have in common.

use crate::exports::Exports;

/// A value, with floats as their bits. References have no identity across engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    I32(u32),
    I64(u64),
    F32(u32),
    F64(u64),
    V128(u128),
    Reference { null: bool },
}

/// Why a guest stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unreachable,
    MemoryBounds,
    TableBounds,
    NullCall,
    Signature,
    DivideByZero,
    Overflow,
    Conversion,
    /// The stack is used up: engines have different ones.
    Stack,
    /// The engine would not give more of something.
    Resources,
}

/// How a call, or an instantiation, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Returned(Vec<Value>),
    Trapped(Kind),
    /// In the engine's words.
    Other(String),
}

impl Ending {
    /// Whether engines may differ from here on.
    pub(crate) fn is_inconclusive(&self) -> bool {
        matches!(self, Ending::Trapped(Kind::Stack | Kind::Resources))
    }
}

/// All of an instance that can be seen from outside, in the order of the exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) globals: Vec<Value>,
    /// Of each table, which elements are null.
    pub(crate) tables: Vec<Vec<bool>>,
    pub(crate) memories: Vec<Vec<u8>>,
    /// What the host functions were called with.
    pub(crate) host: Host,
}

impl State {
    /// What differs from `other`, in a few words.
    pub(crate) fn difference(&self, other: &State, exports: &Exports) -> Option<String> {
        let first = |names: &[String], differs: &dyn Fn(usize) -> bool| {
            names
                .iter()
                .enumerate()
                .find(|(at, _)| differs(*at))
                .map(|(at, name)| (at, name.clone()))
        };
        if let Some((at, name)) =
            first(&exports.globals, &|at| self.globals[at] != other.globals[at])
        {
            let (left, right) = (self.globals[at], other.globals[at]);
            return Some(format!("global \"{name}\": {left:x?} and {right:x?}"));
        }
        if let Some((at, name)) = first(&exports.tables, &|at| self.tables[at] != other.tables[at])
        {
            let (left, right) = (self.tables[at].len(), other.tables[at].len());
            return Some(format!("table \"{name}\", of {left} and {right} elements"));
        }
        let memories = |at: usize| self.memories[at] != other.memories[at];
        if let Some((at, name)) = first(&exports.memories, &memories) {
            let (left, right) = (&self.memories[at], &other.memories[at]);
            let address = left.iter().zip(right).position(|(left, right)| left != right);
            let (left, right) = (left.len(), right.len());
            return Some(format!(
                "memory \"{name}\", of {left} and {right} bytes, first at {address:x?}"
            ));
        }
        (self.host != other.host).then(|| "what the host functions were called with".into())
    }
}

/// An instance in some engine.
pub(crate) trait Guest {
    fn call(&mut self, function: &str, arguments: &[Value]) -> Ending;
    fn state(&mut self, exports: &Exports) -> State;
}

/// What host functions know: a hash of what they were called with, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Host(u64);

impl Host {
    /// Notes a call.
    pub(crate) fn note(&mut self, name: &str, arguments: &[Value]) {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.0, name, format!("{arguments:?}")).hash(&mut hasher);
        self.0 = hasher.finish();
    }
}

/// What a host function returns where its type has a value like `shape`.
pub(crate) fn fixed(shape: Value) -> Value {
    match shape {
        Value::I32(_) => Value::I32(0x1234_5678),
        Value::I64(_) => Value::I64(0x0123_4567_89ab_cdef),
        Value::F32(_) => Value::F32(1.5f32.to_bits()),
        Value::F64(_) => Value::F64((-2.25f64).to_bits()),
        other => other,
    }
}
