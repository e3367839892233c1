//! Pieces of code that refer to one another.

use crate::emit::signature;
use crate::front::index::{FuncIndex, TypeIndex};
use crate::front::module::Module;
use cranelift_codegen::entity::PrimaryMap;
use cranelift_codegen::ir::{Signature, UserExternalName};
use wfaas_abi::{Hostcall, TrapCode};

/// A piece of code. The text has them in the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Symbol {
    /// Function of the index space: a function of the module or the thunk of an import.
    Func(FuncIndex),
    /// Array trampoline of a function type.
    Trampoline(TypeIndex),
    /// Stub of a hostcall.
    Hostcall(Hostcall),
    /// Stub that raises a trap.
    Trap(TrapCode),
    /// Thunk that calls a foreign function of this type.
    Foreign(TypeIndex),
    /// Bridge to functions of this type in other instances.
    Bridge(TypeIndex),
    /// Stub that copies inside of the memory at BASE.
    MemoryCopy,
    /// Stub that fills a range of the memory at BASE.
    MemoryFill,
}

impl Symbol {
    /// The name by which the code generator knows it.
    pub(crate) fn external_name(self) -> UserExternalName {
        match self {
            Symbol::Func(func) => UserExternalName::new(0, func.as_u32()),
            Symbol::Trampoline(ty) => UserExternalName::new(1, ty.as_u32()),
            Symbol::Hostcall(call) => UserExternalName::new(2, call as u32),
            Symbol::Trap(code) => UserExternalName::new(3, code as u32),
            Symbol::Foreign(ty) => UserExternalName::new(4, ty.as_u32()),
            Symbol::Bridge(ty) => UserExternalName::new(5, ty.as_u32()),
            Symbol::MemoryCopy => UserExternalName::new(6, 0),
            Symbol::MemoryFill => UserExternalName::new(6, 1),
        }
    }

    /// The reverse of [`Symbol::external_name`].
    pub(crate) fn from_external_name(name: &UserExternalName) -> Option<Symbol> {
        let ty = || TypeIndex::from_u32(name.index);
        match name.namespace {
            0 => Some(Symbol::Func(FuncIndex::from_u32(name.index))),
            1 => Some(Symbol::Trampoline(ty())),
            2 => Hostcall::ALL.get(name.index as usize).copied().map(Symbol::Hostcall),
            3 => u8::try_from(name.index).ok().and_then(TrapCode::from_u8).map(Symbol::Trap),
            4 => Some(Symbol::Foreign(ty())),
            5 => Some(Symbol::Bridge(ty())),
            6 if name.index == 0 => Some(Symbol::MemoryCopy),
            6 if name.index == 1 => Some(Symbol::MemoryFill),
            _ => None,
        }
    }

    /// The signature by which it is called.
    pub(crate) fn signature(self, module: &Module<'_>) -> Signature {
        match self {
            Symbol::Func(func) => signature::guest_signature(module.func_type(func)),
            Symbol::Trampoline(_) => signature::trampoline_signature(),
            Symbol::Hostcall(call) => signature::stub_signature(call),
            Symbol::Trap(_) => signature::trap_signature(),
            Symbol::Foreign(ty) => signature::foreign_signature(&module.types[ty]),
            Symbol::Bridge(ty) => signature::bridge_signature(&module.types[ty]),
            Symbol::MemoryCopy => signature::memory_copy_signature(),
            Symbol::MemoryFill => signature::memory_fill_signature(),
        }
    }

    /// Order in the text among the pieces that are no functions.
    pub(crate) fn order(self) -> (u32, u32) {
        let name = self.external_name();
        (name.namespace, name.index)
    }

    /// The name in the symbol table; `funcs` has the names of functions.
    pub(crate) fn name(
        self,
        module: &Module<'_>,
        funcs: &PrimaryMap<FuncIndex, Option<String>>,
    ) -> String {
        let ty = |index: TypeIndex| &module.types[index];
        match self {
            Symbol::Func(index) => match &funcs[index] {
                Some(name) => name.clone(),
                None => format!("func[{}]", index.as_u32()),
            },
            Symbol::Trampoline(index) => format!("wfaas:trampoline:{}", ty(index)),
            Symbol::Hostcall(call) => format!("wfaas:{}", call.name()),
            Symbol::Trap(code) => format!("wfaas:trap:{code:?}"),
            Symbol::Foreign(index) => format!("foreign:{}", ty(index)),
            Symbol::Bridge(index) => format!("bridge:{}", ty(index)),
            Symbol::MemoryCopy => "wfaas:memory.copy".to_owned(),
            Symbol::MemoryFill => "wfaas:memory.fill".to_owned(),
        }
    }
}
