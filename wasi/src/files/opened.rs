//! What a guest finds open when it starts: directories, and listeners behind them.

use super::Directory;
use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;

/// Work that may block a thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs that may block on threads that may be blocked.
pub type BlockingPool = Box<dyn Fn(Job) + Send + Sync>;

/// Most descriptors that a guest has open at once, if nobody says otherwise.
const MAX_DESCRIPTORS: usize = 1024;

/// What the guests of a function find open when they start. They share it.
#[derive(Default)]
pub struct Files {
    directories: Vec<Preopen>,
    listeners: Vec<Arc<TcpListener>>,
    pool: Option<BlockingPool>,
    max_descriptors: Option<usize>,
}

/// A directory that is open when a guest starts.
pub struct Preopen {
    name: String,
    root: Box<dyn Fn() -> Arc<dyn Directory> + Send + Sync>,
}

/// Why a directory or a listener cannot be given to guests.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// A name that no guest could use.
    #[error("{name:?} cannot be a guest's directory: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two directories of one name.
    #[error("two directories are called {name:?}")]
    Twice {
        /// The name.
        name: String,
    },
    /// The listener does not do what it has to.
    #[error("the listener cannot be used without blocking: {0}")]
    Listener(std::io::Error),
}

impl Preopen {
    /// A directory that all guests share, under a name such as `/data` or `.`.
    pub fn shared(name: impl Into<String>, root: Arc<dyn Directory>) -> Preopen {
        Preopen::fresh(name, move || root.clone())
    }

    /// A directory that is made for each guest that looks at it.
    pub fn fresh(
        name: impl Into<String>,
        root: impl Fn() -> Arc<dyn Directory> + Send + Sync + 'static,
    ) -> Preopen {
        Preopen { name: name.into(), root: Box::new(root) }
    }

    /// The guest's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory, for one guest.
    pub fn root(&self) -> Arc<dyn Directory> {
        (self.root)()
    }
}

impl Files {
    /// Adds a directory; descriptors are in the order of adding.
    ///
    /// # Errors
    /// [`FilesError`] if its name is empty, too long, has a NUL, or is there already.
    pub fn add(&mut self, directory: Preopen) -> Result<(), FilesError> {
        let name = || directory.name.clone();
        let reason = match directory.name.len() {
            0 => Some("it is empty"),
            len if len > super::MAX_PATH => Some("it is longer than 4095 bytes"),
            _ if directory.name.contains('\0') => Some("it contains a NUL character"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(FilesError::Name { name: name(), reason });
        }
        if self.directories.iter().any(|other| other.name == directory.name) {
            return Err(FilesError::Twice { name: name() });
        }
        self.directories.push(directory);
        Ok(())
    }

    /// Adds a listener; their descriptors come after those of the directories.
    ///
    /// # Errors
    /// [`FilesError::Listener`] if it does not do without blocking.
    pub fn add_listener(&mut self, listener: TcpListener) -> Result<(), FilesError> {
        listener.set_nonblocking(true).map_err(FilesError::Listener)?;
        self.listeners.push(Arc::new(listener));
        Ok(())
    }

    /// Has `pool` do what may block, for guests that can be suspended meanwhile.
    pub fn set_pool(&mut self, pool: BlockingPool) {
        self.pool = Some(pool);
    }

    /// Sets how many descriptors a guest may have open at once.
    pub fn set_max_descriptors(&mut self, most: usize) {
        self.max_descriptors = Some(most);
    }

    /// The directories.
    pub fn directories(&self) -> &[Preopen] {
        &self.directories
    }

    /// The listeners.
    pub(crate) fn listeners(&self) -> &[Arc<TcpListener>] {
        &self.listeners
    }

    /// The threads that may be blocked, if there are any.
    pub(crate) fn pool(&self) -> Option<&BlockingPool> {
        self.pool.as_ref()
    }

    /// Most descriptors of a guest.
    pub(crate) fn max_descriptors(&self) -> usize {
        self.max_descriptors.unwrap_or(MAX_DESCRIPTORS)
    }
}

impl fmt::Debug for Preopen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Preopen").field(&self.name).finish()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Files");
        debug.field("directories", &self.directories).field("listeners", &self.listeners);
        debug.finish_non_exhaustive()
    }
}
