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
    /// Thunk of an import, where the function of its index records the arguments.
    Thunk(FuncIndex),
    /// Continues a program that waits, as a function of this type.
    Continue(TypeIndex),
    /// Goes on with a record of a function's frame; of an import, makes the call again.
    Twin(FuncIndex),
    /// The records of all frames. No code.
    Records,
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
            Symbol::Thunk(func) => UserExternalName::new(6, func.as_u32()),
            Symbol::Continue(ty) => UserExternalName::new(7, ty.as_u32()),
            Symbol::Twin(func) => UserExternalName::new(8, func.as_u32()),
            Symbol::Records => UserExternalName::new(9, 0),
            Symbol::MemoryCopy => UserExternalName::new(10, 0),
            Symbol::MemoryFill => UserExternalName::new(10, 1),
        }
    }

    /// The reverse of [`Symbol::external_name`].
    pub(crate) fn from_external_name(name: &UserExternalName) -> Option<Symbol> {
        let ty = || TypeIndex::from_u32(name.index);
        let func = || FuncIndex::from_u32(name.index);
        match name.namespace {
            0 => Some(Symbol::Func(func())),
            1 => Some(Symbol::Trampoline(ty())),
            2 => Hostcall::ALL.get(name.index as usize).copied().map(Symbol::Hostcall),
            3 => u8::try_from(name.index).ok().and_then(TrapCode::from_u8).map(Symbol::Trap),
            4 => Some(Symbol::Foreign(ty())),
            5 => Some(Symbol::Bridge(ty())),
            6 => Some(Symbol::Thunk(func())),
            7 => Some(Symbol::Continue(ty())),
            8 => Some(Symbol::Twin(func())),
            9 => Some(Symbol::Records),
            10 if name.index == 0 => Some(Symbol::MemoryCopy),
            10 if name.index == 1 => Some(Symbol::MemoryFill),
            _ => None,
        }
    }

    /// The signature by which it is called.
    pub(crate) fn signature(self, module: &Module<'_>) -> Signature {
        match self {
            Symbol::Func(func) | Symbol::Thunk(func) => {
                signature::guest_signature(module.func_type(func))
            }
            Symbol::Continue(ty) => signature::guest_signature(&module.types[ty]),
            Symbol::Twin(func) => {
                let results = module.func_type(func).results().iter();
                let results: Vec<_> = results.map(|ty| signature::clif_type(*ty)).collect();
                signature::continued_signature(&results)
            }
            Symbol::Records => signature::continued_signature(&[]),
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
        let func = |index: FuncIndex| match &funcs[index] {
            Some(name) => name.clone(),
            None => format!("func[{}]", index.as_u32()),
        };
        match self {
            Symbol::Func(index) => func(index),
            Symbol::Thunk(index) => format!("wfaas:thunk:{}", func(index)),
            Symbol::Continue(_) => "wfaas:continue".to_owned(),
            Symbol::Twin(index) => format!("{} (continued)", func(index)),
            Symbol::Records => "wfaas:records".to_owned(),
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
