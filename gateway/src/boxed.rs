//! Futures in boxes, made where they stay.

use std::pin::Pin;

/// A future in a box. A future is as large as all that it may ever hold, of which its beginning is a small part:
/// with the room there first, only that is written, where `Box::pin` copies the whole.
#[inline(always)]
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
