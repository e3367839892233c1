//! References: null is zero, a function is a [`FuncRef`](wfaas_abi::FuncRef).

use super::{Emitted, FuncEmitter};
use crate::emit::signature::POINTER;
use crate::front::index::FuncIndex;
use crate::symbol::Symbol;
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use wfaas_abi::{FuncRef, TrapCode};

impl FuncEmitter<'_> {
    pub(super) fn visit_ref_null(&mut self, _: wasmparser::HeapType) -> Emitted {
        let null = self.code.iconst(FuncRef::NULL.to_bits().cast_signed());
        self.push(null);
        Ok(())
    }

    pub(super) fn visit_ref_is_null(&mut self) -> Emitted {
        let value = self.pop();
        let is_null = self.code.ins().icmp_imm_u(IntCC::Equal, value, 0);
        self.push_flag(is_null)
    }

    pub(super) fn visit_ref_as_non_null(&mut self) -> Emitted {
        let value = self.pop();
        let is_null = self.code.ins().icmp_imm_u(IntCC::Equal, value, 0);
        self.code.trap_if(is_null, TrapCode::NullReference);
        self.push(value);
        Ok(())
    }

    /// The offset in the text is the distance of two addresses, so that no load-time relocation
    /// is needed, nor the offset known while code is generated.
    pub(super) fn visit_ref_func(&mut self, function: u32) -> Emitted {
        let function = FuncIndex::from_u32(function);
        let code = self.code.function(Symbol::Func(function));
        let address = self.code.ins().func_addr(POINTER, code);
        let text = self.code.text();
        let offset = self.code.ins().isub(address, text);
        const { assert!(FuncRef::CODE_BIT == 0) };
        let ty = self.code.module.func_ref(function, 0).to_bits();
        let ty = self.code.iconst(ty.cast_signed());
        let value = self.code.ins().bor(offset, ty);
        self.push(value);
        Ok(())
    }
}
