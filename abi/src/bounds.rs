//! How memory accesses are kept inside the linear memory.

/// The strategy an artifact was compiled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum BoundsStrategy {
    /// Guard pages; growth opens pages with `mprotect`.
    Guard = 1,
}

impl BoundsStrategy {
    /// The strategy with this number, if there is one.
    pub const fn from_u32(code: u32) -> Option<Self> {
        match code {
            1 => Some(BoundsStrategy::Guard),
            _ => None,
        }
    }

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            BoundsStrategy::Guard => "guard",
        }
    }
}

/// How many memory accesses a module has, and what became of their checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BoundsStats {
    /// Loads and stores in the module.
    pub accesses: u64,
    /// Of these, accesses whose check the guard region makes unnecessary.
    pub elided_by_guard: u64,
    /// Of these, accesses whose 64-bit index is compared with 4 GiB, the guard doing the rest.
    pub index_checked: u64,
    /// Of these, accesses compared with the memory's size at run time.
    pub checked: u64,
}

impl core::ops::AddAssign for BoundsStats {
    fn add_assign(&mut self, other: Self) {
        self.accesses += other.accesses;
        self.elided_by_guard += other.elided_by_guard;
        self.index_checked += other.index_checked;
        self.checked += other.checked;
    }
}
