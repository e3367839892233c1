//! Engines: configuration, and everything that is set up once.

use crate::arch;
use crate::call::faults;
use crate::call::stack_pool::StackPool;
use crate::pool::slots::Slots;
use crate::runtime::error::Error;
use crate::sys;
use std::sync::Arc;
use wfaas_abi::cpu::CpuFeatures;
use wfaas_abi::layout::MAX_STATE_BYTES;
use wfaas_snapshot::{ImageMemory, Tracking};

/// How an engine runs guests.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of stack a guest may use.
    pub stack_bytes: usize,
    /// Most calls that may be suspended at the same time, each with a stack of its own: beyond it
    /// [`Error::NoStack`].
    pub max_suspended: usize,
    /// Most bytes that the linear memories and tables of an instance may have together, whatever its
    /// module declares; and as many, but never more than 64 MiB, the exceptions of its store.
    pub max_memory_bytes: u64,
    /// Most slots that the idle faaslets of a pool keep for the next requests. A faaslet takes one,
    /// and one more for each memory after the first.
    pub idle_slots: usize,
    /// Most slots of the engine, in use, idle or free. When all are taken, an idle faaslet of any
    /// pool gives up its own; if there is none, [`Error::NoSlot`].
    pub max_slots: usize,
    /// Most bytes that the faaslets of all pools keep in memory to be quick at the next request; a
    /// faaslet that would pass it is dropped when it is released. `None` is half of the machine's
    /// memory.
    pub max_resident_bytes: Option<u64>,
    /// Most bytes that the images of all modules take in memory; equal ones count once. A module that
    /// would pass it is refused. `None` is half of the machine's memory.
    pub max_image_bytes: Option<u64>,
    /// Way in which slots of pools track the pages that a reset has to restore.
    pub tracking: Tracking,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            stack_bytes: 1 << 20,
            max_suspended: 4 << 10,
            max_memory_bytes: (4 << 30) + MAX_STATE_BYTES as u64,
            idle_slots: 64,
            max_slots: 16 << 10,
            max_resident_bytes: None,
            max_image_bytes: None,
            tracking: Tracking::Auto,
        }
    }
}

/// Shared by everything that runs; cheap to clone.
///
/// A child made with `fork` must not use its parent's engines: there the kernel does not watch the
/// writes of guests. Calls of guests on one thread must end in the reverse order of their beginnings,
/// also where host functions switch stacks.
#[derive(Debug, Clone)]
pub struct Engine(Arc<EngineInner>);

#[derive(Debug)]
struct EngineInner {
    config: Config,
    slots: Arc<Slots>,
    stacks: Arc<StackPool>,
    images: ImageMemory,
}

impl Engine {
    /// Sets up signal handling (once for the process) and an engine.
    ///
    /// # Errors
    /// [`Error::Os`] if a signal handler cannot be installed, [`Error::Slot`] if there is no file
    /// descriptor for the memory of images, which is the only one.
    pub fn new(config: Config) -> Result<Engine, Error> {
        faults::install().map_err(Error::os("installing signal handlers"))?;
        let slots = Arc::new(Slots::new(config.max_slots, config.max_resident_bytes));
        let stacks = Arc::new(StackPool::new(config.stack_bytes, config.max_suspended));
        let images = config.max_image_bytes.unwrap_or_else(|| sys::memory_bytes() / 2);
        let images = ImageMemory::new(images)?;
        Ok(Engine(Arc::new(EngineInner { config, slots, stacks, images })))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Drops the idle faaslets of all pools that have not been used since the last call of this, and
    /// the free stacks of suspended calls; how many faaslets. To be called now and then, so that the memory of a busy hour is given back.
    pub fn give_back_idle(&self) -> usize {
        self.0.stacks.give_back_free();
        self.0.slots.give_back_idle()
    }

    /// The features of this machine's processor, of those an artifact may ask for.
    pub fn cpu_features(&self) -> CpuFeatures {
        arch::available_cpu_features()
    }

    /// How many slots are in use, or kept by idle faaslets, of [`Config::max_slots`].
    pub fn taken_slots(&self) -> usize {
        self.0.slots.taken()
    }

    /// Bytes that the images of modules may take in memory, equal ones counted once: see
    /// [`Config::max_image_bytes`].
    pub fn image_bytes(&self) -> u64 {
        self.0.images.bytes()
    }

    /// Most bytes that the images of modules may take: [`Config::max_image_bytes`], or what it is if
    /// that is `None`.
    pub fn max_image_bytes(&self) -> u64 {
        self.0.images.most_bytes()
    }

    pub(super) fn image_memory(&self) -> &ImageMemory {
        &self.0.images
    }

    pub(super) fn slots(&self) -> &Arc<Slots> {
        &self.0.slots
    }

    pub(super) fn stacks(&self) -> &Arc<StackPool> {
        &self.0.stacks
    }
}

/// Has the allocator of this process give its free pages back to the kernel, as after many large
/// requests. It takes milliseconds, in which other threads may have to wait for memory. Does nothing
/// where the C library is not glibc.
pub fn trim_allocator() {
    sys::trim_allocator();
}
