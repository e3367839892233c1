//! Snapshots: the pages by which an instance differs from its module's image, and forks, which copy them
//! from one instance to another.

use crate::runtime::capture::{Capture, check_references};
use crate::runtime::error::Error;
use crate::runtime::images::Start;
use crate::runtime::module::Module;
use crate::runtime::objects::Objects;
use crate::runtime::records::Records;
use crate::runtime::store::StoreInner;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use wfaas_abi::image::SparseImage;
use wfaas_abi::layout::{PAGE, WASM_PAGE};
use wfaas_abi::memories::{LEAD, image_offset};
use wfaas_snapshot::{Extent, Image};

/// State and memories of an instance at one moment, as the pages that differ from its module's image: for
/// this process, and cheap to clone. [`Pool::acquire_from`](crate::Pool::acquire_from) makes faaslets of
/// it, any number of times; [`Pool::from_snapshot`](crate::Pool::from_snapshot) makes a pool.
#[derive(Clone)]
pub struct Snapshot(Arc<Inner>);

struct Inner {
    module: Module,
    /// Of each memory of the instance's own, by place.
    parts: Vec<Part>,
    /// The frames of a program that waits again.
    records: Option<Records>,
}

/// The pages of one slot.
struct Part {
    /// Bytes from the base on that are accessible.
    open: usize,
    /// Size in WebAssembly pages.
    memory_pages: u64,
    /// Indices from the start of the image, ascending.
    indices: Vec<u32>,
    /// The pages, one after the other.
    bytes: Vec<u8>,
}

impl Part {
    fn pages(&self) -> impl Iterator<Item = (usize, &[u8; PAGE])> {
        let indices = self.indices.iter().map(|index| *index as usize);
        indices.zip(self.bytes.as_chunks().0)
    }

    /// The runs of neighbours: index of the first page, and the pages.
    fn runs(&self) -> impl Iterator<Item = (usize, &[[u8; PAGE]])> + Clone {
        let mut rest = self.bytes.as_chunks().0;
        self.indices.chunk_by(|page, next| next - page == 1).map(move |run| {
            let (pages, others) = rest.split_at(run.len());
            rest = others;
            (run[0] as usize, pages)
        })
    }
}

impl fmt::Debug for Snapshot {
    /// The bytes are the guest's, and no log's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("pages", &self.pages()).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The module, with the image from which the pages differ.
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    /// Number of pages, of 4096 bytes each.
    pub fn pages(&self) -> usize {
        self.0.parts.iter().map(|part| part.indices.len()).sum()
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        let page = PAGE + size_of::<u32>();
        let records = self.0.records.as_ref().map_or(0, Records::bytes);
        records + self.pages() * page + self.0.parts.len() * size_of::<Part>() + size_of::<Inner>()
    }

    /// The snapshot with all pages of the module's image: for [`Module::with_proto`], and for files.
    ///
    /// # Errors
    /// [`Error::Slot`] if the image cannot be read; [`Error::Capture`] for a program that waits again, since no
    /// artifact has its frames.
    pub fn to_capture(&self) -> Result<Capture, Error> {
        let Inner { module, parts, records } = &*self.0;
        if records.is_some() {
            return Err(Error::Capture(
                "frames of a program that waits again are in no image".into(),
            ));
        }
        let state_bytes = module.artifact().header().state_bytes.get() as usize;
        let mut image = SparseImage::new(state_bytes);
        for (place, (pristine, part)) in module.images()?.iter().zip(parts).enumerate() {
            let lead = if place == 0 { state_bytes } else { LEAD } as i64;
            for (page, bytes) in pristine.pages()?.chain(part.pages()) {
                image.write(image_offset(place) + (page * PAGE) as i64 - lead, bytes);
            }
        }
        Ok(Capture { image, memory_pages: parts.iter().map(|part| part.memory_pages).collect() })
    }
}

impl Snapshot {
    /// The module with images as the snapshot is, and the frames that instances go on with. An image shares what it can
    /// with the module's own.
    ///
    /// # Errors
    /// [`Error::Slot`] if there is no memory for the images.
    pub(crate) fn to_module(&self) -> Result<(Module, Option<Records>), Error> {
        let Inner { module, parts, records } = &*self.0;
        let below = module.keep_images_in_memory()?;
        let header = module.artifact().header();
        let (state_bytes, head) = (header.state_bytes.get() as usize, header.host_bytes.get());
        let mut images = Vec::with_capacity(parts.len());
        let mut state = BTreeMap::new();
        for (place, (below, part)) in below.iter().zip(parts).enumerate() {
            let (lead, head) = if place == 0 { (state_bytes, head as usize) } else { (LEAD, 0) };
            let bytes = lead + part.memory_pages as usize * WASM_PAGE;
            images.push(part.image(module, below, (bytes, head))?);
            if place == 0 {
                let pages = below.pages()?.chain(part.pages());
                state.extend(pages.filter(|(page, _)| *page < state_bytes / PAGE));
            }
        }
        let pages = parts.iter().map(|part| part.memory_pages).collect();
        let start = Start::of_state(&module.artifact(), pages, &state);
        Ok((module.with_images(images.into(), start), records.clone()))
    }
}

impl Part {
    /// The image that it makes of the one `below`, with so many bytes, and a head.
    fn image(
        &self,
        module: &Module,
        below: &Arc<Image>,
        (bytes, head): (usize, usize),
    ) -> Result<Arc<Image>, Error> {
        if self.indices.is_empty() && bytes == below.len() {
            return Ok(below.clone());
        }
        let changed: Vec<(usize, &[u8; PAGE])> = self.pages().collect();
        let memory = module.image_memory();
        if let Some(layer) = memory.layer(below, (bytes, head), &changed)? {
            return Ok(Arc::new(layer));
        }
        let pages: BTreeMap<usize, &[u8; PAGE]> = below.pages()?.chain(changed).collect();
        let extent = |(file, page): (usize, &usize)| Extent {
            at: page * PAGE,
            file: (file * PAGE) as u64,
            bytes: PAGE,
        };
        let extents: Vec<Extent> = pages.keys().enumerate().map(extent).collect();
        let stored: Vec<u8> = pages.values().copied().flatten().copied().collect();
        Ok(Arc::new(memory.image(bytes, head, &extents, &stored)?))
    }
}

impl StoreInner {
    /// Refuses to copy an instance in the middle of a call.
    ///
    /// # Errors
    /// [`Error::Capture`], or [`Error::Poisoned`].
    pub(crate) fn check_idle(&self) -> Result<(), Error> {
        if self.call.is_poisoned() {
            return Err(Error::Poisoned);
        }
        if self.call.exit_fp() != 0 || self.call.is_suspended() {
            let why = "a call is under way in its store, or was leaked while it was suspended";
            return Err(Error::Capture(why.into()));
        }
        Ok(())
    }
}

impl Objects {
    /// A snapshot of at most `most_bytes` bytes, with these frames.
    ///
    /// # Errors
    /// [`Error::Capture`] if the instance refers to something outside of it, or its pages are too many.
    pub(crate) fn snapshot(
        &self,
        index: u32,
        most_bytes: usize,
        records: Option<Records>,
    ) -> Result<Snapshot, Error> {
        self.check_copied(index)?;
        let instance = self.instance(index);
        let for_pages = most_bytes.checked_sub(records.as_ref().map_or(0, Records::bytes));
        let mut left = for_pages.ok_or_else(|| too_many(most_bytes))? / (PAGE + size_of::<u32>());
        let mut parts = Vec::with_capacity(instance.slots.len());
        for slot in &instance.slots {
            let memory = self.memory(*slot);
            let bound = memory.own().ok_or_else(shared)?;
            let mut part = Part {
                open: bound.open_bytes(),
                memory_pages: memory.pages(),
                indices: Vec::new(),
                bytes: Vec::new(),
            };
            for (page, bytes) in bound.changed() {
                left = left.checked_sub(1).ok_or_else(|| too_many(most_bytes))?;
                part.indices.push(page as u32);
                part.bytes.extend_from_slice(bytes);
            }
            part.bytes.shrink_to_fit();
            part.indices.shrink_to_fit();
            parts.push(part);
        }
        Ok(Snapshot(Arc::new(Inner { module: instance.module().clone(), parts, records })))
    }

    /// Whether a snapshot compares at most so many pages of each memory with its image.
    pub(crate) fn snapshot_is_cheap(&self, most: usize) -> bool {
        let mut memories = self.memories.iter().filter_map(|memory| memory.own());
        memories.all(|bound| bound.changed_is_cheap(most))
    }

    /// Makes the pristine instance of a pool's store what a snapshot of its module is.
    ///
    /// # Errors
    /// [`Error::Capture`] if the snapshot is of another module or image; [`Error::Slot`] if there is no
    /// memory for it. The store has then to be reset.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let Inner { module, parts, records } = &*snapshot.0;
        if !self.instance(0).module().is(module) {
            let other = "the snapshot is of another module, or of another image of it";
            return Err(Error::Capture(other.into()));
        }
        let slots = self.instance(0).slots.clone();
        for (slot, part) in slots.into_iter().zip(parts) {
            let bound = self.memory_mut(slot).own_mut().ok_or_else(shared)?;
            bound.fill(part.open, part.runs())?;
        }
        if records.is_some() {
            self.go_on_with(records.clone());
        }
        Ok(())
    }

    /// The frames that the program of a pool's instance goes on with, if they are not those of the artifact.
    pub(crate) fn records(&self) -> Option<Records> {
        self.instances.first()?.records.clone()
    }

    /// Has the program of a pool's instance go on with these frames.
    pub(crate) fn go_on_with(&mut self, records: Option<Records>) {
        self.instances[0].set_records(records);
    }

    /// Makes the pristine instance of a pool's store identical to the one of another store of that pool, which goes on
    /// with these frames.
    ///
    /// # Errors
    /// [`Error::Capture`] if the other instance refers to something outside of it; [`Error::Slot`] if
    /// there is no memory for it. The store has then to be reset.
    pub(crate) fn fork_from(
        &mut self,
        other: &Objects,
        records: Option<Records>,
    ) -> Result<(), Error> {
        other.check_copied(0)?;
        // Every field has its line here, so that a new one does not compile until somebody has decided
        // about it.
        let Objects {
            id: _,
            instances,
            memories,
            // Their cells are in the state, which is in the first memory.
            tables: _,
            globals: _,
            // The store has the pool's own.
            tags: _,
            host_funcs: _,
            made: _,
            // Nothing in the instance refers to them.
            exceptions: _,
            foreign: _,
            host_objects: _,
            // As of a store that was just acquired.
            limits: _,
        } = other;
        let slots = self.instance(0).slots.clone();
        for (to, from) in slots.into_iter().zip(&instances[0].slots) {
            let from = memories[*from as usize].own().ok_or_else(shared)?;
            self.memory_mut(to).own_mut().ok_or_else(shared)?.fork_from(from)?;
        }
        if records.is_some() {
            self.go_on_with(records);
        }
        Ok(())
    }

    /// Has the slots of a pool's instance know the pages that were written to, for forks.
    pub(crate) fn note_written(&mut self) {
        for slot in self.instance(0).slots.clone() {
            if let Some(bound) = self.memory_mut(slot).own_mut() {
                bound.note_written();
            }
        }
    }

    /// Refuses an instance that refers to something outside of it.
    fn check_copied(&self, index: u32) -> Result<(), Error> {
        // Only these can be referred to, so that most tables need not be looked through.
        let nothing = self.foreign.funcs.is_empty()
            && self.host_objects.is_empty()
            && self.exceptions.is_empty();
        if nothing && self.instances.len() == 1 { Ok(()) } else { check_references(self, index) }
    }
}

#[cold]
fn too_many(most_bytes: usize) -> Error {
    Error::Capture(format!("it differs from its image in more than {most_bytes} bytes"))
}

fn shared() -> Error {
    Error::Capture("a shared memory is other instances' too".into())
}
