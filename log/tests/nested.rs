//! Events inside of events, which `tracing` allows where one subscriber is the whole process's.

use std::io::{BufRead, BufReader};
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;

/// Logs while it is formatted, and panics unless it is well.
struct Busy {
    well: bool,
}

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tracing::info!("from inside");
        assert!(self.well, "a test's panic");
        f.write_str("busy")
    }
}

#[test]
fn values_may_log_and_panic_while_they_are_formatted() {
    let (reader, writer) = std::io::pipe().unwrap();
    let log = wfaas_log::Log::start(writer, false).unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::info!(busy = ?Busy { well: true }, "outside");
    let panicked =
        std::panic::catch_unwind(|| tracing::info!(busy = ?Busy { well: false }, "lost"));
    assert!(panicked.is_err());
    tracing::info!("after all");
    assert!(log.flush(Duration::from_secs(60)));
    let lines = BufReader::new(reader).lines().map(Result::unwrap).take(4);
    let messages = ["from inside", "outside busy=busy", "from inside", "after all"];
    for (line, message) in lines.zip(messages) {
        assert!(line.ends_with(message), "{line}");
    }
}
