//! Which proposals' operators are translated.

use super::{Emitted, FuncEmitter};
use crate::CompileError;
use wasmparser::{Operator, VisitOperator};

/// Calls the method of an operator. It is a type of its own so that a missing method is an error
/// and not a recursion.
pub(super) struct Router<'e, 'c> {
    pub(super) emitter: &'e mut FuncEmitter<'c>,
    pub(super) offset: u64,
}

impl Router<'_, '_> {
    /// Translates an operator.
    pub(super) fn route(&mut self, operator: &Operator<'_>) -> Emitted {
        self.visit_operator(operator)
    }
}

/// The methods of [`VisitOperator`]. To accept a proposal, list it here and write its methods.
macro_rules! route {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(fn $visit(&mut self $(, $($arg: $ty),*)?) -> Emitted {
            route!(@$proposal self $visit ($($($arg),*)?))
        })*
    };
    (@mvp $($call:tt)*) => { route!(emit $($call)*) };
    (@sign_extension $($call:tt)*) => { route!(emit $($call)*) };
    (@saturating_float_to_int $($call:tt)*) => { route!(emit $($call)*) };
    (@bulk_memory $($call:tt)*) => { route!(emit $($call)*) };
    (@reference_types $($call:tt)*) => { route!(emit $($call)*) };
    (@threads $($call:tt)*) => { route!(emit $($call)*) };
    (@$proposal:ident $self:ident $visit:ident ($($arg:ident),*)) => {{
        $(let _ = $arg;)*
        Err(CompileError::Unsupported { proposal: stringify!($proposal), offset: $self.offset })
    }};
    (emit $self:ident $visit:ident ($($arg:ident),*)) => { $self.emitter.$visit($($arg),*) };
}

impl<'a> VisitOperator<'a> for Router<'_, '_> {
    type Output = Emitted;

    wasmparser::for_each_visit_operator!(route);
}
