//! Work in the background: what the server does for itself while nobody asks for anything.

use crate::server::Shared;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks.
const TICK: Duration = Duration::from_secs(1);

/// Ticks between two rounds of giving back idle faaslets: one that was not used for this long, or up
/// to twice as long, gives back its memory. Functions that could not be loaded are tried again then, and
/// sessions end that nobody asked for.
const ROUND: u32 = 60;

/// Background task: once a round, unmaps idle faaslets and tries again to load what could not be loaded;
/// after a burst of large requests, has the allocator give its free pages back.
pub(crate) async fn keep_up(shared: &Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    let (mut number, mut burst) = (0, Burst::default());
    loop {
        ticks.tick().await;
        let is_over = burst.is_over(shared.buffered.peak());
        let is_round = number % ROUND == 0;
        number = number.wrapping_add(1);
        if !is_over && !is_round {
            continue;
        }
        let shared = shared.clone();
        let work = move || {
            if is_round {
                round(&shared);
            }
            if is_over {
                wfaas_vm::trim_allocator();
            }
        };
        // All of this takes a while.
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!("work in the background panicked: {error}");
        }
    }
}

fn round(shared: &Shared) {
    let count = shared.deployer.engine.give_back_idle();
    if count > 0 {
        tracing::debug!("{count} idle faaslets were given back");
    }
    shared.deployer.registry.end_idle_sessions();
    shared.deployer.retry_all();
}

/// Least bytes of requests at the same time that are a burst.
const LEAST_BURST: u64 = 16 << 20;

/// Finds the end of bursts. An allocator keeps freed memory for its next use, so that a busy server
/// asks the kernel for little; only what was needed once and is not any more goes back.
#[derive(Debug, Default)]
struct Burst {
    /// Most bytes in a tick since the last burst ended.
    highest: u64,
}

impl Burst {
    /// Takes the most bytes that requests had in this tick; whether they are a quarter of a burst's, or
    /// less.
    fn is_over(&mut self, peak: u64) -> bool {
        self.highest = self.highest.max(peak);
        let is_over = self.highest >= LEAST_BURST && peak <= self.highest / 4;
        if is_over {
            self.highest = peak;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_ends_once_and_steady_load_never() {
        let ends = |peaks: &[u64]| {
            let mut burst = Burst::default();
            peaks.iter().filter(|peak| burst.is_over(**peak << 20)).count()
        };
        assert_eq!(ends(&[0, 1, 0, 15, 0, 0]), 0);
        assert_eq!(ends(&[100, 60, 100, 60, 30, 100, 50]), 0);
        assert_eq!(ends(&[0, 100, 80, 20, 0, 0, 0]), 2, "the second one from 20");
        assert_eq!(ends(&[500, 0, 0, 0, 500, 0, 0]), 2);
    }
}
