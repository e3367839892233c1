//! Numbers that are alike in all frames of a function: constants of its twin.
//!
//! A twin serves these frames and no others, so it is specialised to them: N. D. Jones et al., *Partial Evaluation and
//! Automatic Program Generation*. Above all the address of the frame in the program's own stack is a constant then, with all
//! addresses of variables there, and takes no register.

use wfaas_abi::continuation::LOCAL_BYTES;

/// The locals of the frames, as far as they are alike.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Alike {
    /// A cell of eight bytes each, `None` where frames differ.
    cells: Option<Vec<Option<[u8; 8]>>>,
}

impl Alike {
    /// Takes the locals of another frame of the function into account.
    pub(super) fn add(&mut self, locals: &[u8]) {
        let cells = locals.as_chunks::<{ LOCAL_BYTES as usize }>().0;
        match &mut self.cells {
            None => self.cells = Some(cells.iter().copied().map(Some).collect()),
            Some(known) => {
                known.truncate(cells.len());
                for (known, cell) in known.iter_mut().zip(cells) {
                    *known = known.filter(|known| known == cell);
                }
            }
        }
    }

    /// The number of 32 bits at an offset in the locals, if it is one in all frames.
    pub(crate) fn number(&self, offset: u32) -> Option<i32> {
        let cell = self.cells.as_ref()?.get((offset / LOCAL_BYTES) as usize)?.as_ref()?;
        Some(i32::from_le_bytes(*cell.first_chunk()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locals(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn numbers_of_one_frame_are_alike() {
        let mut alike = Alike::default();
        assert_eq!(alike.number(0), None);
        alike.add(&locals(&[7, u64::from(u32::MAX)]));
        assert_eq!([0, 8, 16].map(|offset| alike.number(offset)), [Some(7), Some(-1), None]);
    }

    #[test]
    fn numbers_that_differ_in_any_frame_are_not() {
        let mut alike = Alike::default();
        for frame in [[1, 2, 3], [1, 5, 3], [1, 2, 4]] {
            alike.add(&locals(&frame));
        }
        assert_eq!([0, 8, 16].map(|offset| alike.number(offset)), [Some(1), None, None]);
    }

    #[test]
    fn a_frame_with_fewer_locals_leaves_the_others_unknown() {
        let mut alike = Alike::default();
        alike.add(&locals(&[1, 2]));
        alike.add(&locals(&[1]));
        assert_eq!([0, 8].map(|offset| alike.number(offset)), [Some(1), None]);
    }
}
