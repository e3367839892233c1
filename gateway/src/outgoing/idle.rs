//! Hosts with idle connections: so many at the most, whatever names guests make up.

use super::IDLE_TIME;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Most hosts that have idle connections at the same time.
const MOST_HOSTS: usize = 128;

/// Hosts, by scheme, name and port, and their last requests.
#[derive(Debug, Default)]
pub(super) struct IdleHosts(Mutex<HashMap<String, Instant>>);

impl IdleHosts {
    /// Whether the connection of a request to `host` may be kept after it. A host that has none has to
    /// find a place, which one without requests for [`IDLE_TIME`] leaves.
    pub(super) fn keep(&self, host: String, now: Instant) -> bool {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MOST_HOSTS && !hosts.contains_key(&host) {
            hosts.retain(|_, last| now.saturating_duration_since(*last) < IDLE_TIME);
            if hosts.len() >= MOST_HOSTS {
                return false;
            }
        }
        hosts.insert(host, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_places_while_they_are_used() {
        let (hosts, start) = (IdleHosts::default(), Instant::now());
        for number in 0..MOST_HOSTS {
            assert!(hosts.keep(number.to_string(), start));
        }
        assert!(!hosts.keep("more".to_owned(), start));
        assert!(hosts.keep("0".to_owned(), start + IDLE_TIME / 2), "it has one");
        assert!(hosts.keep("more".to_owned(), start + IDLE_TIME), "the others have left");
        assert_eq!(hosts.0.lock().unwrap().len(), 2);
    }
}
