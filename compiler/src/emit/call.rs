//! Calls, and calls that take the caller's place.

use super::{Emitted, FuncEmitter, control};
use crate::front::index::{FuncIndex, TableIndex, TypeIndex};
use crate::symbol::Symbol;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, SigRef, Value};
use wfaas_abi::{FuncRef, TrapCode};

/// The target of a call: another piece of code, or an address.
#[derive(Clone, Copy)]
pub(super) enum Callee {
    Piece(Symbol),
    Address(SigRef, Value),
}

/// A function reference on its way to being called.
struct Reference {
    value: Value,
    /// Its upper half.
    id: Value,
    /// The type it must have.
    ty: TypeIndex,
    /// The trap if it is null.
    null: TrapCode,
}

impl FuncEmitter<'_> {
    /// Calls a function, or the thunk of an import.
    pub(super) fn visit_call(&mut self, function: u32) -> Emitted {
        let function = FuncIndex::from_u32(function);
        let arguments = self.pop_arguments(self.code.module.funcs[function])?;
        self.before_site();
        let results = self.call(Callee::Piece(Symbol::Func(function)), &arguments);
        let results = self.behind_site(results)?;
        self.stack.extend(results);
        Ok(())
    }

    pub(super) fn visit_return_call(&mut self, function: u32) -> Emitted {
        let function = FuncIndex::from_u32(function);
        let arguments = self.pop_arguments(self.code.module.funcs[function])?;
        self.return_call(Callee::Piece(Symbol::Func(function)), &arguments);
        Ok(())
    }

    pub(super) fn visit_call_indirect(&mut self, ty: u32, table: u32) -> Emitted {
        let (reference, arguments) = self.pop_element(ty, table)?;
        self.call_reference(reference, &arguments)
    }

    pub(super) fn visit_return_call_indirect(&mut self, ty: u32, table: u32) -> Emitted {
        let (reference, arguments) = self.pop_element(ty, table)?;
        self.return_call_reference(reference, &arguments);
        Ok(())
    }

    pub(super) fn visit_call_ref(&mut self, ty: u32) -> Emitted {
        let (reference, arguments) = self.pop_reference(ty)?;
        self.call_reference(reference, &arguments)
    }

    pub(super) fn visit_return_call_ref(&mut self, ty: u32) -> Emitted {
        let (reference, arguments) = self.pop_reference(ty)?;
        self.return_call_reference(reference, &arguments);
        Ok(())
    }

    fn pop_arguments(&mut self, ty: TypeIndex) -> Result<Vec<Value>, crate::CompileError> {
        let types = self.code.func_type(ty);
        self.complexity.add_operands(types.params().len() + types.results().len())?;
        Ok(self.pop_many(types.params().len()))
    }

    /// The operands of `call_indirect`: an index into `table`, and the arguments below.
    fn pop_element(
        &mut self,
        ty: u32,
        table: u32,
    ) -> Result<(Reference, Vec<Value>), crate::CompileError> {
        let (ty, table) = (TypeIndex::from_u32(ty), TableIndex::from_u32(table));
        let index = self.pop_extended();
        let arguments = self.pop_arguments(ty)?;
        let value = self.table_element(table, index, TrapCode::UndefinedElement);
        Ok((self.reference(value, ty, TrapCode::UninitializedElement), arguments))
    }

    /// The operands of `call_ref`: a reference, and the arguments below.
    fn pop_reference(&mut self, ty: u32) -> Result<(Reference, Vec<Value>), crate::CompileError> {
        let ty = TypeIndex::from_u32(ty);
        let value = self.pop();
        let arguments = self.pop_arguments(ty)?;
        Ok((self.reference(value, ty, TrapCode::NullFunctionReference), arguments))
    }

    fn reference(&mut self, value: Value, ty: TypeIndex, null: TrapCode) -> Reference {
        let id = self.code.ins().ushr_imm_u(value, i64::from(FuncRef::TYPE_BIT));
        let id = self.code.ins().ireduce(I32, id);
        Reference { value, id, ty, null }
    }

    /// Calls a function; the results.
    pub(super) fn call(&mut self, callee: Callee, arguments: &[Value]) -> Vec<Value> {
        if let Some(landing) = self.landing() {
            return match callee {
                Callee::Piece(symbol) => self.code.try_call(symbol, arguments, landing),
                Callee::Address(signature, address) => {
                    self.code.try_call_indirect(signature, address, arguments, landing)
                }
            };
        }
        let call = match callee {
            Callee::Piece(symbol) => self.code.call(symbol, arguments),
            Callee::Address(signature, address) => {
                self.code.call_indirect(signature, address, arguments)
            }
        };
        self.code.results(call)
    }

    /// Calls a function in place of this one; ends the block.
    fn return_call(&mut self, callee: Callee, arguments: &[Value]) {
        match callee {
            Callee::Piece(symbol) => self.code.return_call(symbol, arguments),
            Callee::Address(signature, address) => {
                self.code.ins().return_call_indirect(signature, address, arguments);
            }
        }
        self.reachable = false;
    }

    /// Calls the function a reference names, and pushes the results.
    fn call_reference(&mut self, reference: Reference, arguments: &[Value]) -> Emitted {
        self.before_site();
        let results = if self.code.module.references_escape {
            self.call_native_or_foreign(&reference, arguments)
        } else {
            self.check_native(&reference);
            let callee = self.native_callee(&reference);
            self.call(callee, arguments)
        };
        let results = self.behind_site(results)?;
        self.stack.extend(results);
        Ok(())
    }

    /// Calls a function of this instance, or one that is not; the results.
    fn call_native_or_foreign(&mut self, reference: &Reference, arguments: &[Value]) -> Vec<Value> {
        let results = control::types(self.code.func_type(reference.ty).results());
        let done = self.block_with(&results);
        let (fast, slow) = self.enter_callee(reference);

        self.code.continue_in(fast);
        let callee = self.native_callee(reference);
        let results = self.call(callee, arguments);
        self.jump(done, &results);

        self.code.continue_in(slow);
        let (thunk, index) = self.foreign_callee(reference);
        let results = self.call(thunk, &[&[index], arguments].concat());
        self.jump(done, &results);

        self.code.continue_in(done);
        self.code.blocks().block_params(done).to_vec()
    }

    /// Calls the function a reference names in place of this one.
    fn return_call_reference(&mut self, reference: Reference, arguments: &[Value]) {
        if !self.code.module.references_escape {
            self.check_native(&reference);
            let callee = self.native_callee(&reference);
            return self.return_call(callee, arguments);
        }
        let (fast, slow) = self.enter_callee(&reference);

        self.code.continue_in(fast);
        let callee = self.native_callee(&reference);
        self.return_call(callee, arguments);

        self.code.continue_in(slow);
        let (thunk, index) = self.foreign_callee(&reference);
        self.return_call(thunk, &[&[index], arguments].concat());
    }

    /// One compare with the expected id separates the functions of this instance from everything
    /// else: null, functions of other types, functions of other instances and of the host.
    fn enter_callee(
        &mut self,
        reference: &Reference,
    ) -> (cranelift_codegen::ir::Block, cranelift_codegen::ir::Block) {
        let fast = self.code.blocks().create_block();
        let slow = self.code.cold_block();
        let expected = self.code.index(self.code.module.type_id(reference.ty));
        let same = self.code.equal(reference.id, expected);
        self.code.ins().brif(same, fast, &[], slow, &[]);
        (fast, slow)
    }

    /// Raises a trap unless the reference is to a function of this instance and the expected type; there are no
    /// others but null, and functions of other types.
    fn check_native(&mut self, reference: &Reference) {
        let (fast, slow) = self.enter_callee(reference);
        self.code.continue_in(slow);
        self.check_not_null(reference);
        self.code.trap(TrapCode::IndirectCallTypeMismatch);
        self.code.continue_in(fast);
    }

    fn check_not_null(&mut self, reference: &Reference) {
        let null = self.code.iconst(0);
        let is_null = self.code.equal(reference.value, null);
        self.code.trap_if(is_null, reference.null);
    }

    /// A function of this instance.
    fn native_callee(&mut self, reference: &Reference) -> Callee {
        let offset = self.code_of(reference.value);
        let offset = self.code.ins().uextend(I64, offset);
        let text = self.code.text();
        let address = self.code.ins().iadd(text, offset);
        let signature = self.code.guest_signature(reference.ty);
        Callee::Address(signature, address)
    }

    /// A function of another instance or of the host: a thunk, which compares the types, and the index
    /// it takes. Anything else raises a trap.
    fn foreign_callee(&mut self, reference: &Reference) -> (Callee, Value) {
        self.check_not_null(reference);
        let foreign = self.code.index(FuncRef::FOREIGN);
        let native = self.code.different(reference.id, foreign);
        self.code.trap_if(native, TrapCode::IndirectCallTypeMismatch);
        let thunk = Symbol::Foreign(self.code.module.first_equal[reference.ty]);
        (Callee::Piece(thunk), self.code_of(reference.value))
    }

    /// The lower half of a reference: an offset in the text, or the index of a foreign function.
    fn code_of(&mut self, reference: Value) -> Value {
        const { assert!(FuncRef::CODE_BIT == 0) };
        self.code.ins().ireduce(I32, reference)
    }
}
