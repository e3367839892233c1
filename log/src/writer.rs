//! The thread that formats and writes records.

use crate::batch::Batch;
use crate::format::Format;
use crate::queue::Queue;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// Lines are written once they have this many bytes: few calls of the kernel, none of them large.
const CHUNK: usize = 64 << 10;

/// How long to wait for a sink that does not block and takes nothing now.
const PAUSE: Duration = Duration::from_millis(10);

/// The state of the thread.
pub(crate) struct Writer<W> {
    queue: Arc<Queue>,
    sink: W,
    format: Format,
    /// Lines that are not written yet, and their number.
    lines: String,
    count: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(queue: Arc<Queue>, sink: W, colours: bool) -> Writer<W> {
        Writer { queue, sink, format: Format::new(colours), lines: String::new(), count: 0 }
    }

    /// Writes until the queue is closed.
    pub(crate) fn run(mut self) {
        let (mut batch, mut has_written) = (Batch::default(), false);
        while let Some(dropped) = self.queue.clone().next(&mut batch, has_written) {
            self.write_batch(&batch, dropped);
            batch.clear();
            has_written = true;
        }
    }

    fn write_batch(&mut self, batch: &Batch, dropped: u64) {
        batch.for_each(|record| {
            // Writing to a string does not fail.
            let _ = self.format.write(&record, &mut self.lines);
            self.count += 1;
            if self.lines.len() >= CHUNK {
                self.write_lines();
            }
        });
        if dropped > 0 {
            let time = humantime::format_rfc3339_micros(SystemTime::now());
            let _ = writeln!(
                self.lines,
                "{time}  WARN wfaas::log: {dropped} records were dropped, as they were not taken in time"
            );
        }
        self.write_lines();
    }

    /// Writes the lines, and drops them if the sink refuses.
    fn write_lines(&mut self) {
        if write_all(&mut self.sink, self.lines.as_bytes()).is_err() {
            self.queue.dropped.fetch_add(self.count, Ordering::Relaxed);
        }
        self.lines.clear();
        self.count = 0;
    }
}

/// Writes everything, to a sink that does not block as well.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    sink.flush()
}
