//! The canonical ABI of the component model: values between a guest's core functions and the host.
//!
//! * a [`Component`] is the types of one component, with their sizes;
//! * a [`Value`] is a value of such a type, on its way;
//! * `Lift` makes values of core arguments and memory, and believes nothing that the guest says;
//! * `Lower` makes a core result of a value; what needs memory of the guest's is left in a `Pending`, which
//!   asks for one block after the other: no host frame is below the guest's `realloc`;
//! * [`Resources`] is the handle table of one instance, with the things that handles stand for.
//!
//! Names are those of `CanonicalABI.md` of the component model.

mod lift;
mod long;
mod lower;
mod resources;
mod strings;
#[cfg(test)]
mod tests;
mod value;
mod violation;

pub(crate) use lift::{Lift, payload};
pub(crate) use long::LongStrings;
pub(crate) use lower::{Lower, Pending};
pub use resources::{MAX_HANDLES, MAX_KEPT_BYTES, Resources};
pub use value::{Slice, Value};
pub use violation::Violation;

use wfaas_vm::component::{Bindings, Function, Layout, Type, TypeIndex, layouts};

/// Most core values of parameters; more are in a block that one parameter points to.
pub(crate) const MAX_FLAT_PARAMS: u32 = 16;

/// The same of a function that is lowered with `async`.
pub(crate) const MAX_FLAT_ASYNC_PARAMS: u32 = 4;

/// Most core values of a result; more are in a block that the last parameter points to.
pub(crate) const MAX_FLAT_RESULTS: u32 = 1;

/// The types of a component, with their sizes.
#[derive(Debug)]
pub struct Component {
    bindings: Bindings,
    layouts: Vec<Layout>,
}

impl Component {
    /// Of a component's bindings; `None` if a type refers to a later one, or is too large.
    pub fn new(bindings: Bindings) -> Option<Component> {
        let layouts = layouts(&bindings.types)?;
        Some(Component { bindings, layouts })
    }

    /// The bindings.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    pub(crate) fn ty(&self, index: TypeIndex) -> &Type {
        &self.bindings.types[index.index()]
    }

    pub(crate) fn layout(&self, index: TypeIndex) -> Layout {
        self.layouts[index.index()]
    }

    /// Whether a list of this type is one of bytes.
    pub(crate) fn is_byte(&self, index: TypeIndex) -> bool {
        matches!(self.ty(index), Type::U8)
    }

    /// Core values of all parameters.
    pub(crate) fn flat_params(&self, function: &Function) -> u32 {
        function.params.iter().map(|param| self.layout(param.ty).flat).fold(0, u32::saturating_add)
    }

    /// Whether a result is stored in memory.
    pub(crate) fn stores_result(&self, function: &Function) -> bool {
        function.result.is_some_and(|result| self.layout(result).flat > MAX_FLAT_RESULTS)
    }
}

/// The address behind `size` bytes, and the next multiple of `align` from there.
fn next(at: u32, align: u32) -> Result<u32, Violation> {
    at.checked_next_multiple_of(align).ok_or(Violation::OutOfBounds)
}
