//! Locals, globals, and operators that only move operands.

use super::home::Home;
use super::{Emitted, FuncEmitter, Storage};
use crate::CompileError;
use crate::emit::builder::Region;
use crate::emit::signature::clif_type;
use crate::front::index::{FuncIndex, GlobalIndex};
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use std::collections::BTreeSet;
use std::mem::offset_of;
use wasmparser::{FuncValidator, FunctionBody, Operator, ValidatorResources};
use wfaas_abi::context::GlobalImport;
use wfaas_abi::{Hostcall, ValType};

/// Functions with fewer locals, or a shorter body, are translated without a look at them.
const FEW_LOCALS: usize = 64;
const SHORT_BODY: usize = 1 << 12;

/// Locals times blocks that any function may have, and more for each byte of the body. Each local
/// of which the value is not known where blocks meet becomes a parameter of that block.
const FREE_STATES: u64 = 1 << 18;
const STATES_PER_BYTE: u64 = 64;

/// Locals times locals times loops that any function may have, and more for each byte of the body: a
/// parameter of a loop that turns out to be the same in each round is taken out of a list of as many.
const FREE_REMOVALS: u64 = 1 << 22;
const REMOVALS_PER_BYTE: u64 = 1 << 8;

/// A local.
#[derive(Clone, Copy)]
pub(super) struct Local {
    pub(super) home: Home,
    pub(super) ty: Type,
}

/// The uses of locals in a body.
struct Used {
    locals: BTreeSet<u32>,
    /// Number of operators that start or end blocks of the code generator.
    blocks: u64,
    loops: u64,
}

impl Used {
    fn of(body: &FunctionBody<'_>) -> Self {
        let mut used = Used { locals: BTreeSet::new(), blocks: 0, loops: 0 };
        let mut catches = false;
        let Ok(mut reader) = body.get_operators_reader() else { return used };
        // Bytes that are no operator are reported when they are translated.
        while let Ok(operator) = reader.read() {
            match operator {
                Operator::LocalGet { local_index }
                | Operator::LocalSet { local_index }
                | Operator::LocalTee { local_index } => {
                    used.locals.insert(local_index);
                }
                // Inside of a block that catches, a call ends a block.
                Operator::Call { .. }
                | Operator::CallIndirect { .. }
                | Operator::CallRef { .. } => {
                    used.blocks += u64::from(catches);
                }
                Operator::BrTable { targets } => used.blocks += u64::from(targets.len()),
                Operator::TryTable { .. } | Operator::Try { .. } => {
                    catches = true;
                    used.blocks += 1;
                }
                Operator::Catch { .. } | Operator::Delegate { .. } => used.blocks += 1,
                Operator::Loop { .. } => {
                    used.blocks += 1;
                    used.loops += 1;
                }
                Operator::Block { .. } | Operator::If { .. } | Operator::BrIf { .. } => {
                    used.blocks += 1
                }
                _ => {}
            }
        }
        used
    }

    /// Whether values of so many locals take too long to find.
    fn are_too_many(&self, bytes: usize) -> bool {
        let (locals, bytes) = (self.locals.len() as u64, bytes as u64);
        let removals = locals.saturating_mul(locals).saturating_mul(self.loops);
        locals * self.blocks > FREE_STATES.max(STATES_PER_BYTE * bytes)
            || removals > FREE_REMOVALS.max(REMOVALS_PER_BYTE * bytes)
    }
}

impl FuncEmitter<'_> {
    /// Makes parameters and declared locals known; the latter are zero.
    pub(super) fn declare_locals(
        &mut self,
        function: FuncIndex,
        arguments: &[Value],
        validator: &mut FuncValidator<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Emitted {
        let params = self.code.module.func_type(function).params();
        for (ty, argument) in params.iter().zip(arguments) {
            let local = self.declare_local(clif_type(*ty), *argument);
            self.locals.push(local);
        }
        let mut reader = body.get_locals_reader()?;
        let mut runs = Vec::new();
        let mut end = params.len() as u32;
        for _ in 0..reader.get_count() {
            let offset = reader.original_position();
            let (count, ty) = reader.read()?;
            // This also limits their number.
            validator.define_locals(offset, count, ty)?;
            end += count;
            runs.push((end, clif_type(self.code.module.val_type(ty, offset)?)));
        }
        let bytes = body.as_bytes().len();
        let declared = end as usize;
        if declared <= bytes && (declared < FEW_LOCALS || bytes < SHORT_BODY) {
            return self.declare_all(&runs);
        }
        let used = Used::of(body);
        if self.storage != Storage::Frame && used.are_too_many(bytes) {
            self.demote_params(params, arguments);
        }
        // A use takes more than one byte.
        if declared <= bytes { self.declare_all(&runs) } else { self.declare_used(&runs, &used) }
    }

    /// Keeps parameters in memory, and the locals that are declared after them.
    fn demote_params(&mut self, params: &[ValType], arguments: &[Value]) {
        self.storage = Storage::Frame;
        self.locals.clear();
        for (ty, argument) in params.iter().zip(arguments) {
            let local = self.declare_local(clif_type(*ty), *argument);
            self.locals.push(local);
        }
    }

    /// Declares the locals of these runs: the index after the last one, and their type.
    fn declare_all(&mut self, runs: &[(u32, Type)]) -> Emitted {
        for (end, ty) in runs {
            let zero = self.zero(*ty)?;
            while self.locals.len() < *end as usize {
                let local = self.declare_local(*ty, zero);
                self.locals.push(local);
            }
        }
        Ok(())
    }

    /// Declares the locals of these runs that are used: a few bytes can declare thousands.
    fn declare_used(&mut self, runs: &[(u32, Type)], used: &Used) -> Emitted {
        let mut start = self.locals.len() as u32;
        for (end, ty) in runs {
            let zero = self.zero(*ty)?;
            for index in used.locals.range(start..*end) {
                let local = self.declare_local(*ty, zero);
                self.sparse_locals.insert(*index, local);
            }
            start = *end;
        }
        Ok(())
    }

    fn declare_local(&mut self, ty: Type, value: Value) -> Local {
        let home = match (self.storage, self.recorded) {
            (_, Some(slots)) => self.recorded_local(slots, ty),
            (Storage::Frame, None) => self.frame_home(ty),
            (Storage::Values | Storage::Variables, None) => self.variable_home(ty),
        };
        self.write(home, value);
        Local { home, ty }
    }

    /// The locals that have a home, by index.
    pub(super) fn kept_locals(&self) -> Vec<(u32, Local)> {
        let mut sparse: Vec<(u32, Local)> =
            self.sparse_locals.iter().map(|(index, local)| (*index, *local)).collect();
        sparse.sort_unstable_by_key(|(index, _)| *index);
        (0..).zip(self.locals.iter().copied()).chain(sparse).collect()
    }

    /// A local that is used.
    fn local(&self, index: u32) -> Local {
        match self.locals.get(index as usize) {
            Some(local) => *local,
            None => self.sparse_locals[&index],
        }
    }

    pub(super) fn zero(&mut self, ty: Type) -> Result<Value, CompileError> {
        match ty {
            types::F32 => Ok(self.code.ins().f32const(0.0)),
            types::F64 => Ok(self.code.ins().f64const(0.0)),
            types::I8X16 => Ok(self.vector_constant(ty, [0; 16])),
            ty if ty.is_int() => Ok(self.code.ins().iconst(ty, 0)),
            _ => Err(CompileError::Internal(format!("no zero of type {ty}"))),
        }
    }

    pub(super) fn visit_local_get(&mut self, local: u32) -> Emitted {
        let Local { home, ty } = self.local(local);
        let value = self.read(home, ty);
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_local_set(&mut self, local: u32) -> Emitted {
        let value = self.pop();
        let Local { home, .. } = self.local(local);
        self.write(home, value);
        Ok(())
    }

    pub(super) fn visit_local_tee(&mut self, local: u32) -> Emitted {
        self.visit_local_set(local)?;
        self.visit_local_get(local)
    }

    pub(super) fn visit_global_get(&mut self, global: u32) -> Emitted {
        let global = GlobalIndex::from_u32(global);
        let ty = self.code.module.globals[global].ty;
        let value = if let Some(index) = self.code.module.defined_global(global) {
            let offset = self.code.layout.global(index);
            self.code.state_load(clif_type(ty), Region::Globals, offset)
        } else if ty.is_func_ref() {
            let global = self.code.index(global.as_u32());
            self.code.hostcall(Hostcall::GlobalGet, &[global])
        } else {
            let cell = self.imported_global(global);
            let flags = self.code.trusted(Region::ImportedGlobals);
            self.code.ins().load(clif_type(ty), flags, cell, 0)
        };
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_global_set(&mut self, global: u32) -> Emitted {
        let global = GlobalIndex::from_u32(global);
        let value = self.pop();
        let ty = self.code.module.globals[global].ty;
        if let Some(index) = self.code.module.defined_global(global) {
            let offset = self.code.layout.global(index);
            self.code.state_store(value, Region::Globals, offset);
        } else if ty.is_func_ref() {
            let global = self.code.index(global.as_u32());
            self.code.call(crate::symbol::Symbol::Hostcall(Hostcall::GlobalSet), &[global, value]);
        } else {
            let cell = self.imported_global(global);
            let flags = self.code.trusted(Region::ImportedGlobals);
            self.code.ins().store(flags, value, cell, 0);
        }
        Ok(())
    }

    /// The address of an imported global's cell.
    fn imported_global(&mut self, global: GlobalIndex) -> Value {
        let record = self.code.layout.host.globals + global.index() * size_of::<GlobalImport>();
        self.code.host_load(record + offset_of!(GlobalImport, cell))
    }

    pub(super) fn visit_drop(&mut self) -> Emitted {
        self.pop();
        Ok(())
    }

    pub(super) fn visit_select(&mut self) -> Emitted {
        let (if_true, if_false, condition) = self.pop3();
        let value = self.code.ins().select(condition, if_true, if_false);
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_typed_select(&mut self, _: wasmparser::ValType) -> Emitted {
        self.visit_select()
    }

    pub(super) fn visit_typed_select_multi(&mut self, _: Vec<wasmparser::ValType>) -> Emitted {
        Err(CompileError::Internal("select of several values passed validation".to_owned()))
    }
}
