//! Locals, globals, and operators that only move operands.

use super::{Emitted, FuncEmitter};
use crate::CompileError;
use crate::emit::builder::Region;
use crate::emit::signature::clif_type;
use crate::front::index::{FuncIndex, GlobalIndex};
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::Variable;
use std::mem::offset_of;
use wasmparser::{FuncValidator, FunctionBody, ValidatorResources};
use wfaas_abi::Hostcall;
use wfaas_abi::context::GlobalImport;

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
            self.declare_local(clif_type(*ty), *argument);
        }
        let mut reader = body.get_locals_reader()?;
        for _ in 0..reader.get_count() {
            let offset = reader.original_position();
            let (count, ty) = reader.read()?;
            // This also limits their number.
            validator.define_locals(offset, count, ty)?;
            let ty = clif_type(self.code.module.val_type(ty, offset)?);
            let zero = self.zero(ty)?;
            for _ in 0..count {
                self.declare_local(ty, zero);
            }
        }
        Ok(())
    }

    fn declare_local(&mut self, ty: Type, value: Value) {
        let local: Variable = self.code.blocks().declare_var(ty);
        self.code.blocks().def_var(local, value);
        self.locals.push(local);
    }

    fn zero(&mut self, ty: Type) -> Result<Value, CompileError> {
        match ty {
            types::F32 => Ok(self.code.ins().f32const(0.0)),
            types::F64 => Ok(self.code.ins().f64const(0.0)),
            types::I8X16 => Ok(self.vector_constant(ty, [0; 16])),
            ty if ty.is_int() => Ok(self.code.ins().iconst(ty, 0)),
            _ => Err(CompileError::Internal(format!("no zero of type {ty}"))),
        }
    }

    pub(super) fn visit_local_get(&mut self, local: u32) -> Emitted {
        let local = self.locals[local as usize];
        let value = self.code.blocks().use_var(local);
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_local_set(&mut self, local: u32) -> Emitted {
        let value = self.pop();
        let local = self.locals[local as usize];
        self.code.blocks().def_var(local, value);
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
