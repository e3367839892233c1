//! The built-ins of tasks, waitables, streams and futures.

use super::{Behind, Binder, CANON, Signature, Stub};
use crate::error::{ComponentError, invalid};
use crate::graph::{Canon, Def, Graph, Options};
use std::collections::HashSet;
use wasm_encoder::ValType;
use wasmparser::CanonicalFunction;
use wfaas_abi::component::{Builtin, CopyBuiltin, CopyOperation, ImportKind};

/// The function that allocates for events: the `realloc` of all functions whose results come with one.
///
/// # Errors
/// [`ComponentError::Unsupported`] if there are several.
pub(super) fn allocator(
    graph: &Graph<'_>,
    used: &HashSet<usize>,
) -> Result<Option<Def>, ComponentError> {
    let mut found: Option<Def> = None;
    for (index, canon) in graph.canons.iter().enumerate() {
        let options = match canon {
            Canon::Lower { options, .. } if options.is_async => options,
            Canon::Builtin { options, .. } => options,
            _ => continue,
        };
        match (options.realloc.filter(|_| used.contains(&index)), found) {
            (Some(realloc), Some(other)) if realloc != other => {
                return Err(ComponentError::Unsupported("several allocators of async functions"));
            }
            (Some(realloc), _) => found = Some(realloc),
            (None, _) => {}
        }
    }
    Ok(found)
}

impl Binder<'_> {
    /// The function behind a built-in.
    pub(super) fn builtin(
        &mut self,
        function: &CanonicalFunction,
        (scope, core_func): (usize, u32),
        options: &Options,
    ) -> Result<Behind, ComponentError> {
        let (name, builtin) = self.named_builtin(scope, function, options)?;
        let signature = self.core_signature(scope, core_func)?;
        let allocates = match builtin {
            Builtin::WaitableSetWait { allocates } | Builtin::WaitableSetPoll { allocates } => {
                allocates
            }
            Builtin::Copy(copy) => copy.allocates,
            _ => false,
        };
        let allocator = options.realloc.or(self.allocator).filter(|_| allocates);
        let kind = ImportKind::Builtin(builtin);
        self.lowered((CANON, &name), kind, signature, allocator, 0)
    }

    /// Its name, as an import, and its form in the bindings.
    fn named_builtin(
        &mut self,
        scope: usize,
        function: &CanonicalFunction,
        options: &Options,
    ) -> Result<(String, Builtin), ComponentError> {
        let allocates = self.allocator.is_some();
        let plain = |name: &str, builtin| Ok((name.to_owned(), builtin));
        match *function {
            CanonicalFunction::TaskReturn { result, .. } => {
                let ty = self.interfaces.result_function(scope, result)?;
                let encoding = options.encoding;
                plain("task.return", Builtin::TaskReturn { ty, encoding })
            }
            CanonicalFunction::TaskCancel => plain("task.cancel", Builtin::TaskCancel),
            CanonicalFunction::ContextGet { ty: wasmparser::ValType::I32, slot } => {
                plain("context.get", Builtin::ContextGet(slot))
            }
            CanonicalFunction::ContextSet { ty: wasmparser::ValType::I32, slot } => {
                plain("context.set", Builtin::ContextSet(slot))
            }
            CanonicalFunction::BackpressureInc => {
                plain("backpressure.inc", Builtin::BackpressureInc)
            }
            CanonicalFunction::BackpressureDec => {
                plain("backpressure.dec", Builtin::BackpressureDec)
            }
            CanonicalFunction::ThreadYield => plain("thread.yield", Builtin::ThreadYield),
            CanonicalFunction::SubtaskCancel { .. } => {
                plain("subtask.cancel", Builtin::SubtaskCancel)
            }
            CanonicalFunction::SubtaskDrop => plain("subtask.drop", Builtin::SubtaskDrop),
            CanonicalFunction::WaitableSetNew => plain("waitable-set.new", Builtin::WaitableSetNew),
            CanonicalFunction::WaitableSetWait { .. } => {
                plain("waitable-set.wait", Builtin::WaitableSetWait { allocates })
            }
            CanonicalFunction::WaitableSetPoll { .. } => {
                plain("waitable-set.poll", Builtin::WaitableSetPoll { allocates })
            }
            CanonicalFunction::WaitableSetDrop => {
                plain("waitable-set.drop", Builtin::WaitableSetDrop)
            }
            CanonicalFunction::WaitableJoin => plain("waitable.join", Builtin::WaitableJoin),
            ref other => self.copy(scope, other, options),
        }
    }

    /// The same of an operation of a stream or a future.
    fn copy(
        &mut self,
        scope: usize,
        function: &CanonicalFunction,
        options: &Options,
    ) -> Result<(String, Builtin), ComponentError> {
        let (of, operation, name, index) = copy_parts(function)?;
        let ty = self.interfaces.type_at(scope, index)?;
        let is_async = match function {
            CanonicalFunction::StreamCancelRead { async_, .. }
            | CanonicalFunction::StreamCancelWrite { async_, .. }
            | CanonicalFunction::FutureCancelRead { async_, .. }
            | CanonicalFunction::FutureCancelWrite { async_, .. } => *async_,
            _ => options.is_async,
        };
        let allocates = operation == CopyOperation::Read && self.interfaces.element_allocates(ty);
        let encoding = options.encoding;
        let copy = CopyBuiltin { operation, ty, encoding, allocates, is_async };
        Ok((format!("{of}.{name} {}", ty.0), Builtin::Copy(copy)))
    }

    /// The function behind an import that a stub calls if it allocates.
    pub(super) fn lowered(
        &mut self,
        (module, field): (&str, &str),
        kind: ImportKind,
        mut signature: Signature,
        allocator: Option<Def>,
        memory: u32,
    ) -> Result<Behind, ComponentError> {
        let Some(realloc) = allocator else {
            return self.import(module, field, kind, signature, memory).map(Behind::Import);
        };
        let params = signature.params.clone();
        let returns = match signature.results[..] {
            [] => false,
            [ValType::I32] => true,
            _ => return Err(invalid("a lowered function returns a list without memory")),
        };
        signature.results = vec![ValType::I64];
        let import = self.import(module, field, kind, signature, memory)?;
        let next = self.realloc_next(memory)?;
        self.stubs.push(Stub::Realloc { import, next, realloc, params, returns });
        Ok(Behind::Stub(self.stubs.len() - 1))
    }
}

type CopyParts = (&'static str, CopyOperation, &'static str, u32);

/// The operation, its name, and the type's index in the component.
fn copy_parts(function: &CanonicalFunction) -> Result<CopyParts, ComponentError> {
    use CanonicalFunction as Of;
    Ok(match *function {
        Of::StreamNew { ty } => ("stream", CopyOperation::New, "new", ty),
        Of::StreamRead { ty, .. } => ("stream", CopyOperation::Read, "read", ty),
        Of::StreamWrite { ty, .. } => ("stream", CopyOperation::Write, "write", ty),
        Of::StreamCancelRead { ty, .. } => ("stream", CopyOperation::CancelRead, "cancel-read", ty),
        Of::StreamCancelWrite { ty, .. } => {
            ("stream", CopyOperation::CancelWrite, "cancel-write", ty)
        }
        Of::StreamDropReadable { ty } => {
            ("stream", CopyOperation::DropReadable, "drop-readable", ty)
        }
        Of::StreamDropWritable { ty } => {
            ("stream", CopyOperation::DropWritable, "drop-writable", ty)
        }
        Of::FutureNew { ty } => ("future", CopyOperation::New, "new", ty),
        Of::FutureRead { ty, .. } => ("future", CopyOperation::Read, "read", ty),
        Of::FutureWrite { ty, .. } => ("future", CopyOperation::Write, "write", ty),
        Of::FutureCancelRead { ty, .. } => ("future", CopyOperation::CancelRead, "cancel-read", ty),
        Of::FutureCancelWrite { ty, .. } => {
            ("future", CopyOperation::CancelWrite, "cancel-write", ty)
        }
        Of::FutureDropReadable { ty } => {
            ("future", CopyOperation::DropReadable, "drop-readable", ty)
        }
        Of::FutureDropWritable { ty } => {
            ("future", CopyOperation::DropWritable, "drop-writable", ty)
        }
        Of::StreamForward { .. } | Of::FutureForward { .. } => {
            return Err(ComponentError::Unsupported("`stream.forward` and `future.forward`"));
        }
        Of::ContextGet { .. } | Of::ContextSet { .. } => {
            return Err(ComponentError::Unsupported("a 64-bit context of tasks"));
        }
        _ => return Err(ComponentError::Unsupported("threads of tasks")),
    })
}
