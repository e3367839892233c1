//! Spare room: boxes that a thread uses again, which spares the allocator one for each request.

use std::cell::Cell;
use std::thread::LocalKey;

/// A box for the next `T` of a thread. What it holds is as new: nothing of an earlier one is left.
pub(crate) struct Spare<T>(Cell<Option<Box<T>>>);

impl<T: Default> Spare<T> {
    /// None yet.
    pub(crate) const fn none() -> Spare<T> {
        Spare(Cell::new(None))
    }

    /// The box, or a new one.
    pub(crate) fn take(spare: &'static LocalKey<Spare<T>>) -> Box<T> {
        spare.try_with(|spare| spare.0.take()).ok().flatten().unwrap_or_default()
    }

    /// Empties a box, for who takes it next.
    pub(crate) fn put_back(spare: &'static LocalKey<Spare<T>>, mut room: Box<T>) {
        *room = T::default();
        _ = spare.try_with(|spare| spare.0.set(Some(room)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static NUMBERS: Spare<Vec<u32>> = const { Spare::none() };
    }

    #[test]
    fn room_is_used_again_and_empty() {
        let mut numbers = Spare::take(&NUMBERS);
        numbers.push(7);
        let place: *const Vec<u32> = &raw const *numbers;
        Spare::put_back(&NUMBERS, numbers);
        let again = Spare::take(&NUMBERS);
        assert_eq!((&raw const *again, again.len()), (place, 0));
        assert_ne!(&raw const *Spare::take(&NUMBERS), place, "somebody has it");
    }
}
