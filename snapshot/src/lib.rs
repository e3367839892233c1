//! Pages, and nothing but pages: reserve address space, map an image into it copy-on-write, make
//! it identical to the image again. Nothing here knows WebAssembly.
//!
//! * a [`Slot`] is a reservation of address space with one fixed address in it, *BASE*;
//! * an [`Image`] is zero but for [`Extent`]s, which are in a file: usually in an [`ImageMemory`], one
//!   for all images, where equal ones are one;
//! * *binding* maps an image into a slot so that its byte `lead` lies at BASE, privately, with a
//!   *head* of ordinary memory before it, which belongs to no image: a [`Bound`];
//! * *opening* makes more memory after the image accessible, zeroed, by one kind of [`Growth`];
//! * *reset* restores the image, byte for byte, and closes opened memory;
//! * a *fork* makes a pristine slot identical to another one of its image: [`Bound::fork_from`];
//! * [`Tracking`] tells a slot which pages a reset has to restore: it *learns* the **pages** or
//!   **granules** that are written to and copies them back, or it **discards** all private pages.
//!   [`cost`] chooses;
//! * a [`WorkingSet`] holds the pages that guests are expected to write to.
//!
//! ```
//! use std::sync::Arc;
//! use wfaas_snapshot::{Binding, Extent, Geometry, Growth, ImageMemory, Slot, Tracking};
//!
//! let geometry = Geometry { below: 1 << 20, above: 1 << 20, align: 4096 };
//! let slot = Slot::reserve(geometry)?;
//! let page = [7u8; 4096];
//! let images = ImageMemory::new(1 << 20)?;
//! let image = images.image(8192, 4096, &[Extent { at: 4096, file: 0, bytes: 4096 }], &page)?;
//! let (tracking, growth) = (Tracking::Discard, Growth::Protect);
//! let mut slot = slot.bind(Binding { image: Arc::new(image), lead: 4096, head: 4096, tracking, growth })?;
//! assert_eq!(slot.bytes(0, 4096)?, page);
//! slot.bytes_mut(0, 1)?[0] = 9;
//! slot.reset()?;
//! assert_eq!(slot.bytes(0, 4096)?, page);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bound;
mod contents;
pub mod cost;
mod error;
mod fork;
mod granules;
mod growth;
mod history;
mod image;
mod image_memory;
mod page_set;
mod pager;
mod pages;
mod regions;
mod restore;
mod slot;
mod sys;
mod table;
mod tracking;
mod uffd;
mod watch;
mod working_set;

pub use bound::{BindError, Binding, Bound};
pub use error::Error;
pub use growth::Growth;
pub use image::{Extent, Image};
pub use image_memory::ImageMemory;
pub use pager::handle_missing_page;
pub use slot::{Geometry, Slot};
pub use table::LEARN_ALIGN;
pub use tracking::Tracking;
pub use uffd::Missing;
pub use watch::{FaultSignal, handle_write_fault};
pub use working_set::WorkingSet;

/// Bytes of a host page.
pub const PAGE: usize = 4096;

/// Whether this kernel has the part of userfaultfd that [`Tracking::Pages`] needs.
///
/// # Errors
/// [`Missing`].
pub fn userfaultfd() -> Result<(), Missing> {
    uffd::descriptor().map(|_| ())
}
