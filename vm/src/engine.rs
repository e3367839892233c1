//! The engine: configuration, and what a process sets up once.

use crate::error::Error;
use crate::faults;
use std::sync::{Arc, Mutex};
use wfaas_abi::layout::{BELOW_BASE, GUARD, MEMORY_RESERVATION, SLOT_ALIGN};
use wfaas_snapshot::{Geometry, Slot, Tracking};

/// How an engine runs guests.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of stack a guest may use.
    pub stack_bytes: usize,
    /// Most bytes that the linear memories of an instance may have together, whatever its module
    /// declares.
    pub max_memory_bytes: u64,
    /// Most slots that the idle faaslets of a pool keep for the next requests. A faaslet takes one,
    /// and one more for each memory after the first.
    pub idle_slots: usize,
    /// How pools reset their slots; see [`Tracking`].
    pub reset: Tracking,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            stack_bytes: 1 << 20,
            max_memory_bytes: 4 << 30,
            idle_slots: 64,
            reset: Tracking::Auto,
        }
    }
}

/// Shared by everything that runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(Arc<EngineInner>);

#[derive(Debug)]
struct EngineInner {
    config: Config,
    /// Unbound slots for the next instances.
    slots: Mutex<Vec<Slot>>,
}

/// How all slots lie in the address space.
const GEOMETRY: Geometry =
    Geometry { below: BELOW_BASE, above: MEMORY_RESERVATION + GUARD, align: SLOT_ALIGN };

/// Most unbound slots kept: reserving one is a system call, and thousands would only hoard
/// address space.
const MAX_FREE_SLOTS: usize = 16;

impl Engine {
    /// Sets up signal handling (once for the process) and an engine.
    ///
    /// # Errors
    /// [`Error::Os`] if a signal handler cannot be installed.
    pub fn new(config: Config) -> Result<Engine, Error> {
        faults::install().map_err(Error::os("installing signal handlers"))?;
        Ok(Engine(Arc::new(EngineInner { config, slots: Mutex::default() })))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn take_slot(&self) -> Result<Slot, Error> {
        let free = self.0.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        match free {
            Some(slot) => Ok(slot),
            None => Slot::reserve(GEOMETRY).map_err(Error::os("reserving a slot")),
        }
    }

    pub(crate) fn return_slot(&self, mut slot: Slot) {
        if slot.unbind().is_err() {
            return; // dropping it unmaps everything
        }
        let mut free = self.0.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if free.len() < MAX_FREE_SLOTS {
            free.push(slot);
        }
    }
}
