//! The watch over all connections: one timer for all of their clocks.
//!
//! A timer of its own would cost each connection a look at it for every request. The clocks of
//! connections are patient, so that it is enough to look at all of them once in a while.

use crate::admission::Admission;
use crate::config::Config;
use std::time::{Duration, Instant};

/// Connections that are looked at before other tasks have their turn.
const BATCH: usize = 256;

/// Background task: has connections end when a clock says so.
pub(crate) async fn watch(admission: &Admission, config: &Config) {
    let tick = tick(config);
    loop {
        tokio::time::sleep(tick).await;
        for batch in admission.states().chunks(BATCH) {
            let now = Instant::now();
            batch.iter().for_each(|state| state.look(now));
            tokio::task::yield_now().await;
        }
    }
}

/// How often to look: no clock is late by more than an eighth.
fn tick(config: &Config) -> Duration {
    let shortest = config.header_timeout.min(config.idle_timeout).min(config.clients.send_timeout);
    (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1))
}
