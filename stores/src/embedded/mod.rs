//! Values in one file: redb's B-trees with transactions.
//!
//! ```text
//!   table "values/TENANT/FUNCTION/STORE":  key → value
//!   table "bytes":                         TENANT → bytes of its stores
//! ```
//!
//! Writes that come together are one transaction, which is on disk before any of them is answered. Readers see
//! the last one, and wait for no writer. All of it runs on threads of the runtime that may be blocked, and begins
//! when there is room for it (`../admission.rs`).

mod operate;

use crate::admission::{self, Admission, Room};
use crate::{Done, unavailable};
use operate::{apply, read};
use redb::{Database, ReadableDatabase};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wfaas_function::stores::{Operation, Pending, Space, StoreBackend, StoreError};

/// Bytes of the file that are kept in memory.
const CACHE_BYTES: usize = 32 << 20;

/// Most operations of one transaction.
const MOST_JOBS: usize = 256;

/// Most bytes of one transaction's operations, if they are more than one. What it changes is in memory until it
/// ends.
const BATCH_BYTES: usize = 8 << 20;

/// Keeps values in a file, or in memory.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared {
    place: Place,
    /// Opened for the first operation.
    database: Mutex<Option<Arc<Database>>>,
    /// Most bytes of a tenant's stores.
    tenant_bytes: u64,
    writes: Mutex<Writes>,
    admission: Admission,
}

enum Place {
    File(PathBuf),
    Memory,
}

/// Writes that wait for the next transaction.
#[derive(Default)]
struct Writes {
    jobs: Vec<Job>,
    /// Whether a thread does them.
    under_way: bool,
}

/// An operation and whoever waits for it. Its room is taken until it is done, or is left out.
struct Job {
    space: Space,
    operation: Operation,
    done: oneshot::Sender<Done>,
    room: Room,
}

/// The file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {path}: {error}")]
pub struct OpenError {
    path: PathBuf,
    error: redb::DatabaseError,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = self.shared.writes().jobs.len();
        f.debug_struct("Embedded").field("queued", &queued).finish()
    }
}

impl Embedded {
    /// Values in the file at `path`, which is made for the first operation, and is this process's alone from
    /// then on. A tenant may have so many bytes.
    pub fn new(path: impl Into<PathBuf>, tenant_bytes: u64, runtime: Handle) -> Embedded {
        Embedded::at(Place::File(path.into()), tenant_bytes, runtime)
    }

    /// Values in memory, which end with this.
    pub fn in_memory(tenant_bytes: u64, runtime: Handle) -> Embedded {
        Embedded::at(Place::Memory, tenant_bytes, runtime)
    }

    fn at(place: Place, tenant_bytes: u64, runtime: Handle) -> Embedded {
        let (database, writes, admission) = Default::default();
        let shared = Shared { place, database, tenant_bytes, writes, admission };
        Embedded { shared: Arc::new(shared), runtime }
    }

    /// Does an operation when there is room for it.
    async fn operate(self, space: Space, operation: Operation) -> Done {
        let room = self.shared.admission.admit(space.tenant(), &operation).await;
        let room = room.map_err(unavailable)?;
        let (done, end) = oneshot::channel();
        let reads = admission::reads(&operation);
        let job = Job { space, operation, done, room };
        if reads {
            self.read(job)
        } else {
            self.write(job)
        }
        end.await.unwrap_or(Err(StoreError::Unavailable))
    }

    fn read(&self, job: Job) {
        let shared = self.shared.clone();
        self.runtime.spawn_blocking(move || {
            if !job.done.is_closed() {
                let end = shared.read(&job.space, &job.operation);
                _ = job.done.send(end); // nobody waits any more
            }
        });
    }

    /// Begins a write. One thread does all that are there, and ends with the last one.
    fn write(&self, job: Job) {
        let mut writes = self.shared.writes();
        writes.jobs.push(job);
        if !std::mem::replace(&mut writes.under_way, true) {
            let shared = self.shared.clone();
            self.runtime.spawn_blocking(move || shared.write_all());
        }
    }
}

impl StoreBackend for Embedded {
    fn begin(&self, space: &Space, operation: Operation) -> Pending {
        Box::pin(self.clone().operate(space.clone(), operation))
    }
}

/// Lets a next write begin anew if the thread panics. Those that wait fail.
struct OnPanic<'a>(&'a Shared);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.writes() = Writes::default();
        }
    }
}

impl Shared {
    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database. One that could not be opened is tried again.
    fn database(&self) -> Result<Arc<Database>, OpenError> {
        let mut open = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*open {
            return Ok(database.clone());
        }
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let (made, path) = match &self.place {
            Place::File(path) => (builder.create(path), path.as_path()),
            Place::Memory => {
                (builder.create_with_backend(redb::backends::InMemoryBackend::new()), Path::new(""))
            }
        };
        let made = made.map_err(|error| OpenError { path: path.to_owned(), error })?;
        Ok(open.insert(Arc::new(made)).clone())
    }

    /// Works with the database. One whose file failed refuses everything from then on: it is closed, and the next
    /// operation opens the file anew.
    fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let database = self.database().map_err(unavailable)?;
        work(&database).map_err(|error| {
            if matches!(
                error,
                redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::LockPoisoned(_)
            ) {
                self.close(&database);
            }
            unavailable(error)
        })
    }

    /// Forgets a database, unless another one is open already.
    fn close(&self, database: &Arc<Database>) {
        let mut open = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        open.take_if(|open| Arc::ptr_eq(open, database));
    }

    fn read(&self, space: &Space, operation: &Operation) -> Done {
        self.with_database(|database| read(&database.begin_read()?, space, operation))?
    }

    /// Does writes until there are none.
    fn write_all(&self) {
        let _panics = OnPanic(self);
        loop {
            let mut writes = self.writes();
            if writes.jobs.is_empty() {
                writes.under_way = false;
                return;
            }
            let count = batch(&writes.jobs);
            let jobs: Vec<Job> = writes.jobs.drain(..count).collect();
            drop(writes);
            self.write_together(jobs);
        }
    }

    /// Does writes in one transaction; all of them fail if it does. Nobody waits for some any more: those are
    /// left out.
    fn write_together(&self, mut jobs: Vec<Job>) {
        jobs.retain(|job| !job.done.is_closed());
        let ends = self.commit(&jobs);
        let ends = ends.unwrap_or_else(|error| vec![Err(error); jobs.len()]);
        for (job, end) in jobs.into_iter().zip(ends) {
            _ = job.done.send(end); // nobody waits any more
        }
    }

    fn commit(&self, jobs: &[Job]) -> Result<Vec<Done>, StoreError> {
        self.with_database(|database| {
            let transaction = database.begin_write()?;
            let apply =
                |job: &Job| apply(&transaction, &job.space, &job.operation, self.tenant_bytes);
            let ends = jobs.iter().map(apply).collect::<Result<Vec<Done>, _>>()?;
            transaction.commit()?;
            Ok(ends)
        })
    }
}

/// How many of these jobs are one transaction.
fn batch(jobs: &[Job]) -> usize {
    let sums = jobs.iter().scan(0, |bytes, job| {
        *bytes += job.room.bytes;
        Some(*bytes)
    });
    sums.take(MOST_JOBS).take_while(|bytes| *bytes <= BATCH_BYTES).count().max(1)
}
