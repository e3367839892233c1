//! Pieces of code that refer to one another.

use crate::front::module::Module;
use cranelift_codegen::ir::UserExternalName;
use wfaas_abi::{Hostcall, TrapCode};

/// A piece of code. The text has them in the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Symbol {
    /// Function of the index space: a function of the module or the thunk of an import.
    Func(u32),
    /// Array trampoline of a function type.
    Trampoline(u32),
    /// Stub of a hostcall.
    Hostcall(Hostcall),
    /// Stub that raises a trap.
    Trap(TrapCode),
    /// Thunk that calls a foreign function of this type.
    Foreign(u32),
    /// Bridge to functions of this type in other instances.
    Bridge(u32),
}

impl Symbol {
    /// The name by which the code generator knows it.
    pub(crate) fn external_name(self) -> UserExternalName {
        match self {
            Symbol::Func(index) => UserExternalName::new(0, index),
            Symbol::Trampoline(ty) => UserExternalName::new(1, ty),
            Symbol::Hostcall(call) => UserExternalName::new(2, call as u32),
            Symbol::Trap(code) => UserExternalName::new(3, code as u32),
            Symbol::Foreign(ty) => UserExternalName::new(4, ty),
            Symbol::Bridge(ty) => UserExternalName::new(5, ty),
        }
    }

    /// The reverse of [`Symbol::external_name`].
    pub(crate) fn from_external_name(name: &UserExternalName) -> Option<Symbol> {
        match name.namespace {
            0 => Some(Symbol::Func(name.index)),
            1 => Some(Symbol::Trampoline(name.index)),
            2 => Hostcall::ALL.get(name.index as usize).copied().map(Symbol::Hostcall),
            3 => u8::try_from(name.index).ok().and_then(TrapCode::from_u8).map(Symbol::Trap),
            4 => Some(Symbol::Foreign(name.index)),
            5 => Some(Symbol::Bridge(name.index)),
            _ => None,
        }
    }

    /// Order in the text among the pieces that are no functions.
    pub(crate) fn order(self) -> (u32, u32) {
        let name = self.external_name();
        (name.namespace, name.index)
    }

    /// The name in the symbol table; `funcs` has those of the functions that have one.
    pub(crate) fn name(self, module: &Module<'_>, funcs: &[Option<String>]) -> String {
        let ty = |index: u32| &module.types[index as usize];
        match self {
            Symbol::Func(index) => match &funcs[index as usize] {
                Some(name) => name.clone(),
                None => format!("func[{index}]"),
            },
            Symbol::Trampoline(index) => format!("wfaas:trampoline:{}", ty(index)),
            Symbol::Hostcall(call) => format!("wfaas:{}", call.name()),
            Symbol::Trap(code) => format!("wfaas:trap:{code:?}"),
            Symbol::Foreign(index) => format!("foreign:{}", ty(index)),
            Symbol::Bridge(index) => format!("bridge:{}", ty(index)),
        }
    }
}
