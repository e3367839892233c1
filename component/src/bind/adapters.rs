//! Adapters: calls from one component to another.

use super::{Behind, Binder, Signature, Stub};
use crate::budget::Budget;
use crate::error::{ComponentError, invalid};
use crate::graph::{Canon, Def, Graph, Memories, Options, ResourceType};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use wfaas_abi::component::{FunctionIndex, ResourceIndex, StringEncoding, Type, TypeIndex};

/// Most parts of the types of functions that components call of each other. Each function's type is looked at once.
const MAX_PARTS: usize = 1 << 20;

/// A call from one component to another: values are copied from memory to memory.
pub(crate) struct Adapter {
    /// The type of the adapter itself, as it is called.
    pub(crate) signature: Signature,
    /// The function of the component.
    pub(crate) ty: FunctionIndex,
    pub(crate) callee: Def,
    pub(crate) post_return: Option<Def>,
    pub(crate) caller_side: Side,
    pub(crate) callee_side: Side,
    /// The imports that find representations, of resources that the callee defines.
    pub(crate) representations: Rc<HashMap<ResourceIndex, usize>>,
}

/// The values that functions between components pass, by the functions' types. Each type is one component's.
pub(super) struct Passing {
    known: HashMap<FunctionIndex, Passed>,
    /// Parts of types that may still be looked at.
    parts: Budget,
    /// The stubs that check strings, by the numbers of their memories.
    utf8: HashMap<u32, usize>,
}

/// The things that an adapter has to know of all values that a function passes.
#[derive(Clone)]
struct Passed {
    has_strings: bool,
    representations: Rc<HashMap<ResourceIndex, usize>>,
}

impl Passing {
    pub(super) fn new() -> Passing {
        let parts = Budget::new("the number of types in calls between components", MAX_PARTS);
        Passing { known: HashMap::new(), parts, utf8: HashMap::new() }
    }
}

/// The place of one side's values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    /// The number of the memory, if there is one.
    pub(crate) memory: Option<u32>,
    pub(crate) realloc: Option<Def>,
    /// The stub that checks strings, if there are any.
    pub(crate) utf8: Option<usize>,
}

/// Refuses async functions of components with several memories: tasks, streams and events know one.
pub(super) fn check(
    graph: &Graph<'_>,
    used: &HashSet<usize>,
    memories: &Memories,
) -> Result<(), ComponentError> {
    let is_async = |(index, canon): (usize, &Canon)| {
        used.contains(&index)
            && match canon {
                Canon::Lower { options, .. } | Canon::Adapt { options, .. } => options.is_async,
                Canon::Builtin { .. } => true,
                _ => false,
            }
    };
    let mut canons = graph.canons.iter().enumerate();
    let has_async = canons.any(is_async) || graph.lifts.iter().any(|lift| lift.options.is_async);
    match memories.len() {
        2.. if has_async => {
            Err(ComponentError::Unsupported("async functions and several memories"))
        }
        _ => Ok(()),
    }
}

impl Binder<'_> {
    /// The adapter of a lifted function, for a component that lowers it.
    pub(super) fn adapt(
        &mut self,
        lift: usize,
        (scope, core_func): (usize, u32),
        options: &Options,
    ) -> Result<Behind, ComponentError> {
        let lift = self.graph.lifts.get(lift).ok_or(invalid("a lifted function is not there"))?;
        if lift.scope == scope {
            return Err(ComponentError::Unsupported("imports of their own exports"));
        }
        if options.is_async || lift.options.is_async {
            return Err(ComponentError::Unsupported("async functions between their components"));
        }
        let ty = self.interfaces.function_at(lift.scope, lift.func)?;
        let signature = self.core_signature(scope, core_func)?;
        let Passed { has_strings, representations } = self.passed(ty, lift.scope)?;
        let is_utf8 = |options: &Options| options.encoding == StringEncoding::Utf8;
        if has_strings && !(is_utf8(options) && is_utf8(&lift.options)) {
            return Err(ComponentError::Unsupported(
                "strings between their components that are not UTF-8",
            ));
        }
        let caller_side = self.side(options, has_strings)?;
        let callee_side = self.side(&lift.options, has_strings)?;
        let (callee, post_return) = (lift.core, lift.options.post_return);
        self.stubs.push(Stub::Adapt(Adapter {
            signature,
            ty,
            callee,
            post_return,
            caller_side,
            callee_side,
            representations,
        }));
        Ok(Behind::Stub(self.stubs.len() - 1))
    }

    fn side(&mut self, options: &Options, has_strings: bool) -> Result<Side, ComponentError> {
        let memory = options.memory.map(|memory| self.memories.number(memory)).transpose()?;
        let utf8 = memory.filter(|_| has_strings).map(|memory| self.utf8(memory));
        Ok(Side { memory, realloc: options.realloc, utf8 })
    }

    /// The stub that checks strings of a memory.
    fn utf8(&mut self, memory: u32) -> usize {
        *self.passing.utf8.entry(memory).or_insert_with(|| {
            self.stubs.push(Stub::Utf8(memory));
            self.stubs.len() - 1
        })
    }

    /// The values that a function of a component passes.
    fn passed(&mut self, ty: FunctionIndex, callee: usize) -> Result<Passed, ComponentError> {
        if let Some(known) = self.passing.known.get(&ty) {
            return Ok(known.clone());
        }
        let parts = self.parts(ty)?;
        let is_string = |ty: &TypeIndex| matches!(self.interfaces.types[ty.index()], Type::String);
        let has_strings = parts.iter().any(is_string);
        let representations = Rc::new(self.representations(&parts, callee)?);
        let passed = Passed { has_strings, representations };
        self.passing.known.insert(ty, passed.clone());
        Ok(passed)
    }

    /// The types of a function's values and all that they refer to, each once.
    fn parts(&mut self, ty: FunctionIndex) -> Result<HashSet<TypeIndex>, ComponentError> {
        let function = &self.interfaces.functions[ty.index()];
        let params = function.params.iter().map(|param| param.ty);
        let mut left: Vec<TypeIndex> = params.chain(function.result).collect();
        let mut found = HashSet::new();
        while let Some(ty) = left.pop() {
            self.passing.parts.spend(1)?;
            if found.insert(ty) {
                left.extend(self.interfaces.types[ty.index()].parts());
            }
        }
        Ok(found)
    }

    /// The imports that find representations, of the resources that the callee defines and borrows.
    fn representations(
        &mut self,
        parts: &HashSet<TypeIndex>,
        callee: usize,
    ) -> Result<HashMap<ResourceIndex, usize>, ComponentError> {
        let mut found = HashMap::new();
        for part in parts {
            match self.interfaces.types[part.index()] {
                Type::Borrow(resource) => {
                    let of = self.graph.resources.get(resource.index());
                    if !matches!(of, Some(ResourceType::Defined { scope, .. }) if *scope == callee)
                    {
                        return Err(ComponentError::Unsupported(
                            "borrowed handles for a component that does not define the resource",
                        ));
                    }
                    found.insert(resource, self.resource_rep(resource)?);
                }
                Type::Stream(_) | Type::Future(_) => {
                    return Err(ComponentError::Unsupported(
                        "streams or futures between their components",
                    ));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}
