//! Calls.

use super::{Emitted, FuncEmitter, control};
use crate::symbol::Symbol;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use wfaas_abi::{FuncRef, TrapCode};

impl FuncEmitter<'_> {
    /// Of an import this is its thunk.
    pub(super) fn visit_call(&mut self, function: u32) -> Emitted {
        let arguments = self.pop_arguments(self.code.module.funcs[function as usize])?;
        let call = self.code.call(Symbol::Func(function), &arguments);
        let results = self.code.results(call);
        self.stack.extend(results);
        Ok(())
    }

    pub(super) fn visit_call_indirect(&mut self, ty: u32, table: u32) -> Emitted {
        let index = self.pop_extended();
        let arguments = self.pop_arguments(ty)?;
        let function = self.table_element(table, index, TrapCode::UndefinedElement);
        self.call_reference(ty, function, &arguments);
        Ok(())
    }

    fn pop_arguments(&mut self, ty: u32) -> Result<Vec<Value>, crate::CompileError> {
        let types = self.code.func_type(ty);
        self.complexity.add_operands(types.params().len() + types.results().len())?;
        Ok(self.pop_many(types.params().len()))
    }

    /// Calls the function `reference`, which must have the type `ty`, and pushes the results.
    ///
    /// One compare with the expected id separates the functions of this instance from everything
    /// else: null, functions of other types, functions of other instances and of the host.
    fn call_reference(&mut self, ty: u32, reference: Value, arguments: &[Value]) {
        let id = self.code.module.type_ids[ty as usize];
        let results = control::types(self.code.func_type(ty).results());
        let fast = self.code.blocks().create_block();
        let slow = self.code.cold_block();
        let done = self.block_with(&results);
        let found = self.code.ins().ushr_imm_u(reference, i64::from(u32::BITS));
        let found = self.code.ins().ireduce(I32, found);
        let expected = self.code.index(id);
        let same = self.code.equal(found, expected);
        self.code.ins().brif(same, fast, &[], slow, &[]);

        self.code.continue_in(fast);
        let offset = self.code_of(reference);
        let offset = self.code.ins().uextend(I64, offset);
        let text = self.code.text();
        let address = self.code.ins().iadd(text, offset);
        let signature = self.code.guest_signature(ty);
        let call = self.code.call_indirect(signature, address, arguments);
        self.jump_with_results(call, done);

        self.code.continue_in(slow);
        self.check_foreign(id, reference, found);
        let index = self.code_of(reference);
        let thunk = Symbol::Foreign(self.code.module.first_equal[ty as usize]);
        let call = self.code.call(thunk, &[&[index], arguments].concat());
        self.jump_with_results(call, done);

        self.code.continue_in(done);
        self.push_params_of(done);
    }

    /// The lower half of a reference: an offset in the text, or the index of a foreign function.
    fn code_of(&mut self, reference: Value) -> Value {
        const { assert!(FuncRef::CODE_OFFSET == 0 && FuncRef::TYPE_OFFSET == 4) };
        self.code.ins().ireduce(I32, reference)
    }

    /// Raises a trap unless the reference names a foreign function with the type `id`.
    fn check_foreign(&mut self, id: u32, reference: Value, found: Value) {
        let null = self.code.iconst(0);
        let is_null = self.code.equal(reference, null);
        self.code.trap_if(is_null, TrapCode::UninitializedElement);
        let expected = self.code.index(id | FuncRef::FOREIGN);
        let differs = self.code.different(found, expected);
        self.code.trap_if(differs, TrapCode::IndirectCallTypeMismatch);
    }

    fn jump_with_results(
        &mut self,
        call: cranelift_codegen::ir::Inst,
        block: cranelift_codegen::ir::Block,
    ) {
        let results = self.code.results(call);
        self.jump(block, &results);
    }
}
