//! Adapters: generated functions between components, which copy values from one memory to another. This is what
//! `CanonicalABI.md` does by `lift` and `lower`, as code for one type.
//!
//! ```text
//!   caller ── core values ──→ adapter ── core values ──→ callee
//!     memory of the caller ──copies──→ memory of the callee, which allocates
//!     memory of the caller, which allocates ←──copies── memory of the callee ──→ post-return
//! ```
//!
//! Handles are the same numbers on both sides: the instance has one table of them.

mod body;
mod lists;
mod utf8;
mod values;

pub(super) use utf8::check as utf8;

use super::spaces::Spaces;
use crate::bind::{Adapter, Plan, Side, Stub};
use crate::budget::Budget;
use crate::error::{ComponentError, invalid};
use body::Body;
use std::collections::HashMap;
use wasm_encoder::{Function, Instruction, ValType};
use wfaas_abi::component::{Layout, TooLarge, TypeIndex, layouts};

/// Most core values of parameters; more are in a block that one parameter points to.
const MAX_FLAT_PARAMS: u32 = 16;

/// Most core values of a result; more are in a block that the last parameter points to.
const MAX_FLAT_RESULTS: u32 = 1;

/// Most values that the code of all adapters handles one by one: their types may be far smaller than this.
pub(super) const MAX_VALUES: usize = 1 << 18;

/// Writes an adapter.
struct Writer<'a> {
    plan: &'a Plan,
    spaces: &'a Spaces,
    adapter: &'a Adapter,
    layouts: &'a [Layout],
    budget: &'a mut Budget,
    body: Body,
    flattened: &'a mut HashMap<TypeIndex, Vec<ValType>>,
    plain: &'a mut HashMap<TypeIndex, bool>,
    /// The sides that values come from, and go to.
    from: Place,
    to: Place,
}

/// One side of an adapter, with the functions of the fused module.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    memory: Option<u32>,
    realloc: Option<u32>,
    utf8: Option<u32>,
}

impl Place {
    fn of(side: Side, plan: &Plan, spaces: &Spaces) -> Result<Place, ComponentError> {
        let realloc = side.realloc.map(|def| spaces.func(def)).transpose()?;
        let utf8 = side.utf8.map(|stub| (plan.imports.len() + stub) as u32);
        Ok(Place { memory: side.memory, realloc, utf8 })
    }

    fn memory(&self) -> Result<u32, ComponentError> {
        self.memory.ok_or(invalid("a function of lists without a memory"))
    }
}

/// What all adapters of a fused module have in common.
pub(super) struct Adapters<'a> {
    plan: &'a Plan,
    pub(super) spaces: &'a Spaces,
    layouts: Vec<Layout>,
    budget: Budget,
    /// The core types of types, and whether these are [plain](Writer::is_plain), once an adapter has asked.
    flattened: HashMap<TypeIndex, Vec<ValType>>,
    plain: HashMap<TypeIndex, bool>,
}

impl<'a> Adapters<'a> {
    /// # Errors
    /// [`ComponentError::Bindings`] if a type is too large.
    pub(super) fn new(plan: &'a Plan, spaces: &'a Spaces) -> Result<Adapters<'a>, ComponentError> {
        let are_any = plan.stubs.iter().any(|stub| matches!(stub, Stub::Adapt(_)));
        let types = if are_any { &plan.bindings.types[..] } else { &[] };
        let too_large = TooLarge("a type has too many bytes, core values or levels");
        let layouts = layouts(types).ok_or(too_large)?;
        let budget = Budget::new("the number of values in calls between components", MAX_VALUES);
        let (flattened, plain) = (HashMap::new(), HashMap::new());
        Ok(Adapters { plan, spaces, layouts, budget, flattened, plain })
    }

    /// The code of an adapter.
    pub(super) fn body(&mut self, adapter: &Adapter) -> Result<Function, ComponentError> {
        let Adapters { plan, spaces, layouts, budget, flattened, plain } = self;
        let caller = Place::of(adapter.caller_side, plan, spaces)?;
        let callee = Place::of(adapter.callee_side, plan, spaces)?;
        let body = Body::new(&adapter.signature.params);
        let (from, to) = (caller, callee);
        let mut writer =
            Writer { plan, spaces, adapter, layouts, budget, body, flattened, plain, from, to };
        let results = writer.call()?;
        (writer.from, writer.to) = (callee, caller);
        writer.results(results)?;
        writer.body.finish()
    }
}

impl Writer<'_> {
    fn layout(&self, ty: TypeIndex) -> Layout {
        self.layouts[ty.index()]
    }

    /// Passes the parameters on and calls; the local of the core result, if there is one.
    fn call(&mut self) -> Result<Option<u32>, ComponentError> {
        let function = &self.plan.bindings.functions[self.adapter.ty.index()];
        let types: Vec<TypeIndex> = function.params.iter().map(|param| param.ty).collect();
        let flat = types.iter().map(|ty| self.layout(*ty).flat).fold(0, u32::saturating_add);
        let passed = if flat > MAX_FLAT_PARAMS {
            vec![self.block(&types)?]
        } else {
            let (mut next, mut passed) = (0, Vec::new());
            for ty in &types {
                let count = self.layout(*ty).flat;
                let given: Vec<u32> = (next..next + count).collect();
                next += count;
                passed.extend(self.flat(*ty, &given)?);
            }
            passed
        };
        passed.into_iter().for_each(|local| self.body.get(local));
        self.body.push(Instruction::Call(self.spaces.func(self.adapter.callee)?));
        let Some(result) = function.result else { return Ok(None) };
        let core = match self.layout(result).flat {
            0 => return Ok(None),
            1 => self.core(result)?,
            _ => ValType::I32,
        };
        let local = self.body.local(core);
        self.body.set(local);
        Ok(Some(local))
    }

    /// Copies a block of parameters; the local of its new address.
    fn block(&mut self, types: &[TypeIndex]) -> Result<u32, ComponentError> {
        let (mut size, mut align) = (0_u32, 1);
        let mut offsets = Vec::with_capacity(types.len());
        for ty in types {
            let layout = self.layout(*ty);
            let at = size.next_multiple_of(layout.align); // at most MAX_TYPE_BYTES each
            offsets.push(at);
            size = at.checked_add(layout.size).ok_or(invalid("a block of parameters too large"))?;
            align = align.max(layout.align);
        }
        let given = 0;
        self.body.check_aligned(given, align);
        let bytes = self.body.constant(size.next_multiple_of(align));
        self.check_range(self.from.memory()?, given, bytes);
        let new = self.allocate(bytes, align)?;
        for (ty, offset) in types.iter().zip(offsets) {
            self.copy(*ty, (given, offset), (new, offset))?;
        }
        Ok(new)
    }

    /// Ends the program unless a result is in a place for one, and there is one for its copy.
    fn check_results(&mut self, ty: TypeIndex, from: u32, to: u32) -> Result<(), ComponentError> {
        let layout = self.layout(ty);
        let bytes = self.body.constant(layout.size);
        for (memory, address) in [(self.from.memory()?, from), (self.to.memory()?, to)] {
            self.body.check_aligned(address, layout.align);
            self.check_range(memory, address, bytes);
        }
        Ok(())
    }

    /// Passes the result back, and ends the call.
    fn results(&mut self, core: Option<u32>) -> Result<(), ComponentError> {
        let function = &self.plan.bindings.functions[self.adapter.ty.index()];
        let returned = match (function.result, core) {
            (Some(ty), Some(core)) if self.layout(ty).flat <= MAX_FLAT_RESULTS => {
                self.flat(ty, &[core])?
            }
            (Some(ty), Some(core)) => {
                let at = self.adapter.signature.params.len() as u32;
                let at = at.checked_sub(1).ok_or(invalid("a result without a place"))?;
                self.check_results(ty, core, at)?;
                self.copy(ty, (core, 0), (at, 0))?;
                Vec::new()
            }
            _ => Vec::new(),
        };
        if let Some(post_return) = self.adapter.post_return {
            core.into_iter().for_each(|core| self.body.get(core));
            self.body.push(Instruction::Call(self.spaces.func(post_return)?));
        }
        returned.into_iter().for_each(|local| self.body.get(local));
        Ok(())
    }
}
