//! Tables that nobody writes to, and the functions in them: calls through them become direct.
//!
//! `wit-component` makes such a table in its shim: the fixup's segment is all that it ever gets. So a call by a
//! constant index has one possible target. Only functions of the canonical ABI are looked at, since nothing
//! else is in these tables.

use super::spaces::{Constant, Spaces, constant};
use crate::bind::{Plan, Signature};
use crate::error::ComponentError;
use crate::graph::Graph;
use crate::parse::Module;
use std::collections::HashMap;
use wasmparser::{
    CompositeInnerType, ElementItems, ElementKind, FunctionBody, Operator, TableInit,
};

/// Most bytes of code that may refer to such a table. Shims are small, and all of it is read.
const MAX_CODE: usize = 1 << 20;

/// The functions in tables that have the same contents from the first call on.
pub(super) struct Slots {
    /// By table of the fused module, then by slot.
    tables: HashMap<u32, HashMap<u32, Target>>,
}

/// A function in a table.
struct Target {
    func: u32,
    signature: Signature,
}

impl Slots {
    pub(super) fn new(
        graph: &Graph<'_>,
        plan: &Plan,
        spaces: &Spaces,
    ) -> Result<Slots, ComponentError> {
        let mut slots = Slots { tables: candidates(graph, spaces)? };
        slots.remove_written(graph, spaces)?;
        slots.fill(graph, plan, spaces)?;
        Ok(slots)
    }

    /// Whether a core instance refers to any of the tables.
    pub(super) fn concern(&self, spaces: &Spaces, instance: usize) -> bool {
        spaces.instances[instance].tables.iter().any(|table| self.tables.contains_key(&table))
    }

    /// The function that `call_indirect` with this type calls.
    pub(super) fn target(&self, table: u32, slot: u32, signature: &Signature) -> Option<u32> {
        let target = self.tables.get(&table)?.get(&slot)?;
        (target.signature == *signature).then_some(target.func)
    }

    /// Removes the tables that code writes to.
    fn remove_written(&mut self, graph: &Graph<'_>, spaces: &Spaces) -> Result<(), ComponentError> {
        for (instance, core) in graph.instances.iter().enumerate() {
            if !self.concern(spaces, instance) {
                continue;
            }
            let tables = &spaces.instances[instance].tables;
            for body in &core.module.bodies {
                for written in written_tables(body)? {
                    tables.get(written).map(|table| self.tables.remove(&table));
                }
            }
        }
        Ok(())
    }

    /// Adds the functions of active segments. Tables with segments that are applied later are removed.
    fn fill(
        &mut self,
        graph: &Graph<'_>,
        plan: &Plan,
        spaces: &Spaces,
    ) -> Result<(), ComponentError> {
        let mut deferred = false;
        for (instance, core) in graph.instances.iter().enumerate() {
            let instance = &spaces.instances[instance];
            for element in core.module.elements.clone().into_iter().flatten() {
                let element = element?;
                let ElementKind::Active { table_index, offset_expr } = element.kind else {
                    continue;
                };
                let table = instance.tables.get(table_index.unwrap_or(0));
                let Some(table) = table.filter(|table| self.tables.contains_key(table)) else {
                    continue;
                };
                let offset = constant(&offset_expr, &instance.globals)?;
                let (false, Some(Constant::I32(offset)), ElementItems::Functions(functions)) =
                    (deferred, offset, element.items)
                else {
                    self.tables.remove(&table);
                    continue;
                };
                for (place, func) in functions.into_iter().enumerate() {
                    // Tables have no slots beyond 32 bits: instantiation ends there.
                    let slot = offset.cast_unsigned().checked_add(place as u32);
                    let Some(slot) = slot else { break };
                    self.set(table, slot, instance.funcs.get(func?), plan);
                }
            }
            deferred |= core.module.start.is_some();
        }
        Ok(())
    }

    fn set(&mut self, table: u32, slot: u32, func: Option<u32>, plan: &Plan) {
        let Some(slots) = self.tables.get_mut(&table) else { return };
        let target = func.and_then(|func| {
            let signature = plan.signature_of(func as usize)?;
            Some(Target { func, signature })
        });
        match target {
            Some(target) => slots.insert(slot, target),
            None => slots.remove(&slot),
        };
    }
}

/// The tables that begin empty and that little code refers to.
fn candidates(
    graph: &Graph<'_>,
    spaces: &Spaces,
) -> Result<HashMap<u32, HashMap<u32, Target>>, ComponentError> {
    let mut code: HashMap<u32, usize> = HashMap::new();
    for (instance, core) in graph.instances.iter().enumerate() {
        let bodies = core.module.bodies.iter().map(|body| body.as_bytes().len());
        let bytes = bodies.fold(0, usize::saturating_add);
        for table in spaces.instances[instance].tables.iter() {
            let all = code.entry(table).or_default();
            *all = all.saturating_add(bytes);
        }
    }
    code.retain(|_, bytes| *bytes <= MAX_CODE);
    for (instance, core) in graph.instances.iter().enumerate() {
        let defined = spaces.instances[instance].tables.defined();
        for (table, definition) in defined.zip(core.module.tables.clone().into_iter().flatten()) {
            if !matches!(definition?.init, TableInit::RefNull) {
                code.remove(&table);
            }
        }
    }
    Ok(code.into_keys().map(|table| (table, HashMap::new())).collect())
}

/// The tables that a function writes to, by index in its module.
fn written_tables(body: &FunctionBody<'_>) -> Result<Vec<u32>, ComponentError> {
    let mut written = Vec::new();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        match operators.read()? {
            Operator::TableSet { table }
            | Operator::TableGrow { table }
            | Operator::TableFill { table }
            | Operator::TableInit { table, .. }
            | Operator::TableCopy { dst_table: table, .. } => written.push(table),
            _ => {}
        }
    }
    Ok(written)
}

/// The function types of a module, by index; `None` for types of other values than numbers.
pub(super) fn signatures(module: &Module<'_>) -> Result<Vec<Option<Signature>>, ComponentError> {
    let mut signatures = Vec::new();
    for group in module.types.clone().into_iter().flatten() {
        for ty in group?.types() {
            signatures.push(match &ty.composite_type.inner {
                CompositeInnerType::Func(func) => Signature::of(func),
                _ => None,
            });
        }
    }
    Ok(signatures)
}
