//! Budgets of things that a small component can ask for many times: names, definitions, items.

use crate::error::ComponentError;

/// A number of things that may still be used. It is spent before they are made, so that memory stays within it.
#[derive(Debug)]
pub(crate) struct Budget {
    what: &'static str,
    limit: usize,
    left: usize,
}

impl Budget {
    /// `limit` of `what`, which is the thing's name in the error.
    pub(crate) fn new(what: &'static str, limit: usize) -> Budget {
        Budget { what, limit, left: limit }
    }

    /// Of the bytes of all names, each time one is used.
    pub(crate) fn names() -> Budget {
        Budget::new("the size in bytes of all names", wfaas_abi::component::MAX_NAMES)
    }

    /// Takes `number` things away.
    pub(crate) fn spend(&mut self, number: usize) -> Result<(), ComponentError> {
        let left = self.left.checked_sub(number);
        self.left = left.ok_or(ComponentError::TooLarge { what: self.what, limit: self.limit })?;
        Ok(())
    }
}
