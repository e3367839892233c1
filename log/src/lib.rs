//! A log that nobody waits for: records go to a bounded queue, and one thread formats and writes them.
//!
//! * a [`Log`] is the queue and its thread; its [layer](Log::layer) takes the events of `tracing`;
//! * a **record** is an event with its time and its values, not formatted yet: making one takes a
//!   fraction of the time that formatting and writing it would take;
//! * a **batch** is the records that the thread takes at once.
//!
//! A full queue drops records, and the log says how many once it goes on. `tracing-appender` has such a
//! queue too, but counts lines in it, where one may have 32 KiB, and formats on the calling thread.
//!
//! Text of records is [`untrusted`](wfaas_abi::untrusted): no record looks like two, or speaks to the
//! terminal.
//!
//! ```
//! use std::time::Duration;
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! let (reader, writer) = std::io::pipe()?;
//! let log = wfaas_log::Log::start(writer, false)?;
//! let subscriber = tracing_subscriber::registry().with(log.layer());
//! tracing::subscriber::with_default(subscriber, || {
//!     tracing::info!(path = "/\u{1b}[31m", status = 200, "answered");
//! });
//! assert!(log.flush(Duration::from_secs(10)));
//! # use std::io::{BufRead, BufReader};
//! let mut line = String::new();
//! BufReader::new(reader).read_line(&mut line)?;
//! assert!(line.ends_with("answered path=\"/\\u{1b}[31m\" status=200\n"), "{line}");
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]

mod batch;
mod format;
mod layer;
mod queue;
mod record;
mod writer;

pub use layer::LogLayer;

use queue::Queue;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The queue of a log, and the thread that writes it for as long as the process lives.
#[derive(Debug)]
pub struct Log(Arc<Queue>);

impl Log {
    /// Starts the thread. It is the only one that ever waits for `sink`.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub fn start(sink: impl Write + Send + 'static, colours: bool) -> io::Result<Log> {
        let queue = Arc::new(Queue::default());
        let thread = writer::Writer::new(queue.clone(), sink, colours);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || thread.run())?;
        Ok(Log(queue))
    }

    /// A layer that sends events here.
    pub fn layer(&self) -> LogLayer {
        LogLayer::new(self.0.clone())
    }

    /// The number of records that were dropped since the start, as it is at any time.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.0.dropped.clone()
    }

    /// Waits until all records are written that there are now, but no longer than this; whether they
    /// are.
    pub fn flush(&self, patience: Duration) -> bool {
        self.0.flush(patience)
    }
}

impl Drop for Log {
    /// The thread ends after the records that are there, whenever that is.
    fn drop(&mut self) {
        self.0.close();
    }
}
