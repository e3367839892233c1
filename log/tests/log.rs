//! Logs beside sinks of all kinds: nobody waits for one, nothing grows, and nothing is forged.

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tracing::subscriber::with_default;
use tracing_subscriber::layer::SubscriberExt;
use wfaas_log::Log;

/// Nothing that works takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// Logs with `work` to `log`.
fn logging(log: &Log, work: impl FnOnce()) {
    with_default(tracing_subscriber::registry().with(log.layer()), work);
}

/// A log into a pipe, and its other end.
fn piped() -> (Log, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    (Log::start(writer, false).unwrap(), reader)
}

/// All that a log wrote.
fn written(log: Log, reader: PipeReader) -> Vec<String> {
    let lines =
        std::thread::spawn(move || BufReader::new(reader).lines().map(Result::unwrap).collect());
    assert!(log.flush(PATIENCE));
    drop(log);
    lines.join().unwrap()
}

/// A sink that takes nothing until it is told to, and everything then.
struct Stuck {
    release: mpsc::Receiver<()>,
    is_released: bool,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_released = self.is_released || self.release.recv().is_ok();
        self.taken.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log with a stuck sink, the way to release it, and all that it took.
fn stuck() -> (Log, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
    let (release, released) = mpsc::channel();
    let taken = Arc::<Mutex<Vec<u8>>>::default();
    let sink = Stuck { release: released, is_released: false, taken: taken.clone() };
    (Log::start(sink, false).unwrap(), release, taken)
}

/// The number in front of these words.
fn number_before(line: &str, words: &str) -> u64 {
    let (before, _) = line.split_once(words).expect("the words are there");
    before.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn a_stuck_sink_costs_records_and_nobodys_time() {
    const RECORDS: u64 = 100_000;
    let (log, release, taken) = stuck();
    logging(&log, || (0..RECORDS).for_each(|number| tracing::info!(number, "one of many")));
    let dropped = log.dropped().load(Ordering::Relaxed);
    assert!(dropped > RECORDS / 2, "{dropped} dropped");
    assert!(!log.flush(Duration::from_millis(20)), "nothing is written yet");
    release.send(()).unwrap();
    assert!(log.flush(PATIENCE));
    let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
    let (told, records): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.contains("WARN wfaas::log: "));
    assert_eq!(records.len() as u64 + dropped, RECORDS);
    // Once behind each of the two batches, if the writer was late for the first.
    let told = told.iter().map(|line| number_before(line, " records were dropped"));
    assert_eq!(told.sum::<u64>(), dropped);
    logging(&log, || tracing::info!("on it goes"));
    assert!(log.flush(PATIENCE));
    assert!(taken.lock().unwrap().ends_with(b" on it goes\n"));
}

#[test]
fn large_records_are_dropped_by_their_bytes() {
    let (log, release, taken) = stuck();
    let large = "x".repeat(1 << 20);
    logging(&log, || (0..5_000).for_each(|_| tracing::info!("{large}")));
    drop(release);
    assert!(log.dropped().load(Ordering::Relaxed) > 4_000);
    assert!(log.flush(PATIENCE));
    let bytes = taken.lock().unwrap().len();
    // A batch that is being written, and the one behind it.
    assert!((1 << 20..9 << 20).contains(&bytes), "{bytes} bytes were kept");
}

#[test]
fn there_is_room_for_a_request_behind_many_lines_and_for_an_error_behind_many_requests() {
    let (log, release, taken) = stuck();
    logging(&log, || {
        (0..100_000).for_each(|_| tracing::info!(target: "wfaas::guest", "a guest's line"));
        tracing::info!("answered");
        (0..100_000).for_each(|_| tracing::info!("another"));
        tracing::error!("this matters");
    });
    drop(release);
    assert!(log.flush(PATIENCE));
    let taken = taken.lock().unwrap();
    let taken = String::from_utf8_lossy(&taken);
    for kept in ["INFO log: answered", "ERROR log: this matters"] {
        assert!(taken.contains(kept), "no {kept}");
    }
}

/// Refuses everything until it has been asked for so many times.
struct Refusing(u32, mpsc::Sender<Vec<u8>>);

impl Write for Refusing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::WouldBlock];
                Err(kinds[left as usize % 2].into())
            }
            None => self.1.send(bytes.to_vec()).map(|()| bytes.len()).map_err(io::Error::other),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_refuses_loses_records_until_it_does_not() {
    let (sender, taken) = mpsc::channel();
    let log = Log::start(Refusing(5, sender), false).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let first = loop {
        logging(&log, || tracing::info!("a line"));
        assert!(log.flush(PATIENCE));
        if let Ok(bytes) = taken.try_recv() {
            break String::from_utf8(bytes).unwrap();
        }
        assert!(Instant::now() < deadline);
    };
    let dropped = log.dropped().load(Ordering::Relaxed);
    assert!(dropped > 0 && first.contains("a line"), "{dropped} dropped, then {first}");
}

#[test]
fn no_text_looks_like_another_record_or_speaks_to_the_terminal() {
    let (log, reader) = piped();
    let forged = "x\n2026-01-01T00:00:00.000000Z ERROR forged: \u{1b}[2J\u{202e}";
    logging(&log, || {
        tracing::info!(path = "/\" status=200 \n", shown = %forged, "{forged}");
        tracing::warn!(flag = true, less = -1, more = u64::MAX, half = 0.5, "end");
    });
    let lines = written(log, reader);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].ends_with("Z  INFO log: x"), "{}", lines[0]);
    let escaped = r"2026-01-01T00:00:00.000000Z ERROR forged: \u{1b}[2J\u{202e}";
    let fields = format!(r#" path="/\" status=200 \n" shown=x\n{escaped}"#);
    assert_eq!(lines[1], format!("    {escaped}{fields}"));
    let end = "Z  WARN log: end flag=true less=-1 more=18446744073709551615 half=0.5";
    assert!(lines[2].ends_with(end), "{}", lines[2]);
}

#[test]
fn a_record_is_no_longer_than_its_limit() {
    let (log, reader) = piped();
    let long = "\u{1b}".repeat(1 << 20);
    logging(&log, || tracing::info!(path = long, shown = %long, "{long}"));
    let lines = written(log, reader);
    assert_eq!(lines.len(), 1);
    assert!((32 << 10..42 << 10).contains(&lines[0].len()), "{} bytes", lines[0].len());
}

#[test]
fn records_of_many_threads_are_whole() {
    let (log, reader) = piped();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(reader).read_to_string(&mut text).unwrap();
        text
    });
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                logging(log, || {
                    (0..500).for_each(|number| tracing::info!(thread, number, "whole"))
                });
            });
        }
    });
    assert!(log.flush(PATIENCE));
    drop(log);
    let text = reader.join().unwrap();
    for thread in 0..8 {
        let ends = (0..500).map(|number| format!(" whole thread={thread} number={number}"));
        let lines = text.lines().filter(|line| line.contains(&format!("thread={thread} ")));
        assert!(lines.zip(ends).filter(|(line, end)| line.ends_with(end)).count() == 500);
    }
}
