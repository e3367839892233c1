//! Which proposals' operators are translated.

use super::{Emitted, FuncEmitter};
use crate::CompileError;
use crate::front::proposals::GC;
use wasmparser::{Operator, VisitOperator, VisitSimdOperator};

/// Calls the method of an operator. It is a type of its own so that a missing method is an error
/// and not a recursion.
pub(super) struct Router<'e, 'c> {
    pub(super) emitter: &'e mut FuncEmitter<'c>,
}

impl Router<'_, '_> {
    /// Translates an operator.
    pub(super) fn route(&mut self, operator: &Operator<'_>) -> Emitted {
        self.visit_operator(operator)
    }
}

/// The methods of [`VisitOperator`] and [`VisitSimdOperator`]. To accept a proposal, list it here
/// and write its methods.
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
    (@tail_call $($call:tt)*) => { route!(emit $($call)*) };
    (@function_references $($call:tt)*) => { route!(emit $($call)*) };
    (@exceptions $($call:tt)*) => { route!(emit $($call)*) };
    (@legacy_exceptions $($call:tt)*) => { route!(emit $($call)*) };
    (@simd $($call:tt)*) => { route!(emit $($call)*) };
    (@relaxed_simd $($call:tt)*) => { route!(emit $($call)*) };
    (@threads $($call:tt)*) => { route!(emit $($call)*) };
    (@wide_arithmetic $($call:tt)*) => { route!(emit $($call)*) };
    (@$proposal:ident $self:ident $visit:ident ($($arg:ident),*)) => {{
        $(let _ = $arg;)*
        let offset = $self.emitter.offset;
        Err(CompileError::Unsupported { proposal: route!(name $proposal), offset })
    }};
    (name gc) => { GC };
    (name $proposal:ident) => { stringify!($proposal) };
    (emit $self:ident $visit:ident ($($arg:ident),*)) => { $self.emitter.$visit($($arg),*) };
}

impl<'a> VisitOperator<'a> for Router<'_, '_> {
    type Output = Emitted;

    wasmparser::for_each_visit_operator!(route);

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Emitted>> {
        Some(self)
    }
}

impl VisitSimdOperator<'_> for Router<'_, '_> {
    wasmparser::for_each_visit_simd_operator!(route);
}
