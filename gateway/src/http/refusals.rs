//! Who was told to come again later, and comes too early.
//!
//! An answer that there is no room for has cost a guest's run. Those who were told so and ask the
//! same at once would only have more runs wasted.

use crate::network::Client;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use wfaas_function::FunctionName;

/// As long as `retry-after` says.
const LATER: Duration = Duration::from_secs(1);

/// How many answers without room a client may ask for in that time.
const FEW: u32 = 2;

/// Most refusals that are remembered beyond their time.
const SWEEP: usize = 1024;

/// How many answers of a function to a client had no room, and since when.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    refused: Mutex<HashMap<(Client, FunctionName), (u32, Instant)>>,
    /// Whether there are any, for those who ask in passing.
    is_any: AtomicBool,
}

impl Refusals {
    /// An answer to this client had no room.
    pub(super) fn add(&self, client: Client, function: &FunctionName) {
        let now = Instant::now();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= SWEEP {
            refused.retain(|_, (_, since)| now.duration_since(*since) < LATER);
        }
        let (count, since) = refused.entry((client, function.clone())).or_insert((0, now));
        if now.duration_since(*since) >= LATER {
            (*count, *since) = (0, now);
        }
        *count += 1;
        self.is_any.store(true, Ordering::Relaxed);
    }

    /// Whether this client comes too early.
    pub(super) fn contains(&self, client: Client, function: &FunctionName) -> bool {
        if !self.is_any.load(Ordering::Relaxed) {
            return false;
        }
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let known = refused.get(&(client, function.clone()));
        known.is_some_and(|(count, since)| *count >= FEW && since.elapsed() < LATER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wastes_runs_waits() {
        let refusals = Refusals::default();
        let [one, other] = [1, 2].map(|n| Client::of([127, 0, 0, n].into()));
        let function: FunctionName = "f".parse().unwrap();
        for _ in 0..FEW {
            assert!(!refusals.contains(one, &function));
            refusals.add(one, &function);
        }
        assert!(refusals.contains(one, &function) && !refusals.contains(other, &function));
        assert!(!refusals.contains(one, &"g".parse().unwrap()));
        std::thread::sleep(LATER);
        assert!(!refusals.contains(one, &function));
        refusals.add(one, &function);
        assert!(!refusals.contains(one, &function));
    }
}
