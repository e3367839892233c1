//! Stored functions that could not be loaded: listed with their reason, and tried again.

use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wfaas_function::{FunctionName, Route, TenantName};

/// What listings say about a stored function that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFunction {
    /// Name.
    pub name: FunctionName,
    /// Tenant that it is charged to.
    #[serde(default)]
    pub tenant: TenantName,
    /// Path; `None` if the function's file cannot be read and its name is no route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Content hash of the artifact, in hexadecimal; `None` if the function's file cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// Always: other functions are never there without being loaded.
    pub stored: bool,
    /// Why it could not be loaded the last time.
    pub reason: String,
}

/// A stored function that could not be loaded. Its route answers 503.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) info: FailedFunction,
    retry: Mutex<Retry>,
}

/// When to try again.
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

/// Shortest time between two tries. Each one takes twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Failed {
    /// After the first try.
    pub(crate) fn new(info: FailedFunction) -> Failed {
        let retry = Retry { at: Instant::now() + FIRST_PAUSE, pause: FIRST_PAUSE };
        Failed { info, retry: Mutex::new(retry) }
    }

    /// After one more.
    pub(crate) fn again(&self, info: FailedFunction) -> Failed {
        let pause = (self.retry().pause * 2).min(LONGEST_PAUSE);
        Failed { info, retry: Mutex::new(Retry { at: Instant::now() + pause, pause }) }
    }

    fn retry(&self) -> MutexGuard<'_, Retry> {
        self.retry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time for the next try, which the caller is to make then.
    pub(crate) fn begin_retry(&self) -> bool {
        let (now, mut retry) = (Instant::now(), self.retry());
        if now < retry.at {
            return false;
        }
        // Long enough for the try; the next state has a time of its own.
        retry.at = now + LONGEST_PAUSE;
        true
    }

    /// How long until the next try.
    pub(crate) fn time_left(&self) -> Duration {
        self.retry().at.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_one_at_a_time_and_ever_rarer() {
        let info = FailedFunction {
            tenant: TenantName::default(),
            name: "f".parse().unwrap(),
            route: None,
            artifact: None,
            stored: true,
            reason: "a test's".to_owned(),
        };
        let mut failed = Failed::new(info.clone());
        assert!(!failed.begin_retry(), "too early");
        failed.retry.get_mut().unwrap().at = Instant::now();
        assert!(failed.begin_retry());
        assert!(!failed.begin_retry(), "one is under way");
        for _ in 0..10 {
            let longer = failed.again(info.clone());
            assert!(longer.retry().pause >= failed.retry().pause);
            failed = longer;
        }
        assert_eq!(failed.retry().pause, LONGEST_PAUSE);
    }
}
