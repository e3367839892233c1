//! Memory after the image: how it becomes accessible, and inaccessible again at a reset.

use crate::pager::Pager;
use crate::slot::Slot;
use crate::sys::Access;
use crate::{Error, PAGE};

/// How memory after the image becomes accessible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// By protection, when it is opened.
    Protect,
    /// By blocks of pages, at the first access to one that was opened. The process's handler for
    /// SIGBUS must call [`handle_missing_page`](crate::handle_missing_page). The kernel itself cannot
    /// access pages that are not there yet: see [`Bound::make_writable`](crate::Bound::make_writable).
    Fault,
    /// From the start, all that the slot has: opening only says how much is to be used.
    Whole,
}

/// The memory after an image.
#[derive(Debug)]
pub(crate) struct Grown {
    provision: Provision,
    /// Bytes of the image from BASE on.
    image_end: usize,
    /// Bytes from BASE on that are to be used: accessible, though more may be.
    open: usize,
    /// The largest `open` since the image was bound.
    most_open: usize,
}

/// A [`Growth`] with its pager.
#[derive(Debug)]
enum Provision {
    Protect,
    Fault(Box<Pager>),
    Whole,
}

impl Grown {
    /// Prepares the memory after an image that was just mapped, and has `image_end` bytes from BASE
    /// on.
    pub(crate) fn new(growth: Growth, image_end: usize, slot: &mut Slot) -> Result<Grown, Error> {
        let rest = slot.above() - image_end;
        if growth != Growth::Protect {
            slot.reservation.map_zeroed(slot.below() + image_end, rest)?;
        }
        let provision = match growth {
            Growth::Protect => Provision::Protect,
            Growth::Fault if rest > 0 => {
                if !slot.can_be_found() {
                    return Err(Error::Unaligned);
                }
                Provision::Fault(Pager::new(slot.base() + image_end, rest)?)
            }
            Growth::Fault | Growth::Whole => Provision::Whole,
        };
        Ok(Grown { provision, image_end, open: image_end, most_open: image_end })
    }

    /// How it becomes accessible.
    pub(crate) fn growth(&self) -> Growth {
        match self.provision {
            Provision::Protect => Growth::Protect,
            Provision::Fault(_) => Growth::Fault,
            Provision::Whole => Growth::Whole,
        }
    }

    /// Bytes from BASE on that are open.
    #[inline]
    pub(crate) fn open_bytes(&self) -> usize {
        self.open
    }

    /// Most bytes from BASE on that were open since it was bound.
    pub(crate) fn most_open(&self) -> usize {
        self.most_open
    }

    /// Most bytes after the image that were open since it was bound.
    pub(crate) fn most_grown(&self) -> usize {
        self.most_open - self.image_end
    }

    /// Bytes from BASE on in which anything may be mapped. Closed memory may have kept pages.
    pub(crate) fn mapped_end(&self, slot: &Slot) -> usize {
        match self.provision {
            Provision::Protect => self.most_open,
            Provision::Fault(_) | Provision::Whole => slot.above(),
        }
    }

    /// Opens the first `bytes` bytes from BASE on; whether any of them were closed by protection.
    pub(crate) fn open(&mut self, slot: &mut Slot, bytes: usize) -> Result<bool, Error> {
        if bytes > slot.above() || !bytes.is_multiple_of(PAGE) {
            return Err(Error::Open { bytes });
        }
        if bytes <= self.open {
            return Ok(false);
        }
        match &self.provision {
            Provision::Protect => {
                let at = slot.below() + self.open;
                slot.reservation.protect(at, bytes - self.open, Access::Write)?;
            }
            Provision::Fault(pager) => pager.set_end(slot.base() + bytes),
            Provision::Whole => {}
        }
        self.open = bytes;
        self.most_open = self.most_open.max(bytes);
        Ok(self.growth() == Growth::Protect)
    }

    /// Discards and closes memory that stays accessible, at a reset: with [`Growth::Protect`] there
    /// is none.
    #[inline]
    pub(crate) fn discard_accessible(&mut self, slot: &mut Slot) -> Result<(), Error> {
        let Grown { provision, image_end, open, most_open: _ } = self;
        let touched = match provision {
            Provision::Protect => return Ok(()),
            Provision::Fault(pager) => {
                pager.set_end(slot.base() + *image_end);
                let start = slot.reservation.start();
                pager.take_provided().map(|range| range.start - start..range.end - start)
            }
            // Opened or not, anything may have been written to.
            Provision::Whole => Some(slot.below() + *image_end..slot.below() + slot.above()),
        };
        *open = *image_end;
        let touched = touched.filter(|range| !range.is_empty());
        touched.map_or(Ok(()), |range| slot.reservation.discard_at_once(range.start, range.len()))
    }

    /// Bytes from BASE on whose pages stay if those up to `cleared` do: the image's always.
    pub(crate) fn kept(&self, cleared: usize) -> usize {
        cleared.max(self.image_end)
    }

    /// Closes opened memory. Up to `cleared` bytes from BASE it is zero again, and its pages stay for
    /// the next time; the rest is discarded.
    #[inline]
    pub(crate) fn close_cleared(&mut self, slot: &mut Slot, cleared: usize) -> Result<(), Error> {
        if self.open == self.image_end {
            return Ok(());
        }
        let kept = self.kept(cleared);
        if self.open > kept {
            slot.reservation.discard(slot.below() + kept, self.open - kept)?;
        }
        self.close(slot)
    }

    /// Makes memory inaccessible that was opened by protection.
    pub(crate) fn close(&mut self, slot: &mut Slot) -> Result<(), Error> {
        let Grown { provision: _, image_end, open, most_open: _ } = self;
        if *open > *image_end {
            let at = slot.below() + *image_end;
            slot.reservation.protect(at, *open - *image_end, Access::None)?;
            *open = *image_end;
        }
        Ok(())
    }
}
