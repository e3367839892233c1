//! Timing: batches, rounds, medians.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Something to measure: runs that many operations.
pub(crate) type Side<'a> = &'a mut dyn FnMut(u64) -> anyhow::Result<()>;

/// How many operations are timed together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    /// At least so many.
    first: u64,
    /// Doubled until they take this long.
    micros: u128,
}

/// For requests and calls.
pub(crate) const SHORT: Batch = Batch { first: 16, micros: 2000 };

/// For work on several threads: starting one takes some 50 µs, which should not count.
pub(crate) const LONG: Batch = Batch { first: 256, micros: 20_000 };

/// The same in short rounds, of which some find the processors free on a busy machine.
pub(crate) const REQUESTS: Batch = Batch { first: 4, micros: 5_000 };

/// For what takes long by itself.
pub(crate) const SINGLE: Batch = Batch { first: 1, micros: 0 };

/// Nanoseconds for one operation, for each side and round: `times[side][round]`. In a round one
/// side is timed after the other, so that what disturbs the machine disturbs all of them.
pub(crate) fn interleave(
    rounds: usize,
    batch: Batch,
    sides: &mut [Side<'_>],
) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut counts = Vec::new();
    for side in sides.iter_mut() {
        counts.push(batch.count(side)?);
    }
    let mut times = vec![Vec::with_capacity(rounds); sides.len()];
    for _ in 0..rounds {
        for ((side, count), times) in sides.iter_mut().zip(&counts).zip(&mut times) {
            times.push(time(side, *count)?);
        }
    }
    Ok(times)
}

/// Runs `count` operations on several threads, about the same number on each; the time from the first
/// that starts, when all are there, to the last that ends. `work` gets the thread, from 0 on, and how
/// many.
pub(crate) fn on_threads(
    threads: u64,
    count: u64,
    work: impl Fn(u64, u64) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Duration> {
    let all_there = Barrier::new(threads as usize);
    let on_thread = |thread: u64| {
        let share = count / threads + u64::from(thread < count % threads);
        all_there.wait();
        // Each by its own clock: where threads outnumber processors, some go on much later.
        let start = Instant::now();
        work(thread, share).map(|()| (start, Instant::now()))
    };
    let times = std::thread::scope(|scope| {
        let on_thread = &on_thread;
        let others: Vec<_> =
            (1..threads).map(|thread| scope.spawn(move || on_thread(thread))).collect();
        let mut times = vec![on_thread(0)];
        for other in others {
            times.push(other.join().map_err(|_| anyhow::anyhow!("another thread panicked"))?);
        }
        times.into_iter().collect::<anyhow::Result<Vec<_>>>()
    })?;
    let start = times.iter().map(|(start, _)| *start).min();
    let end = times.iter().map(|(_, end)| *end).max();
    Ok(end.zip(start).map_or(Duration::ZERO, |(end, start)| end - start))
}

/// The value below which `percent` of the values are.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// Median over the rounds of `above / below`.
pub(crate) fn median_ratio(above: &[f64], below: &[f64]) -> f64 {
    let ratios: Vec<f64> = above.iter().zip(below).map(|(a, b)| a / b).collect();
    percentile(&ratios, 50)
}

/// The geometric mean, if all values are there.
pub(crate) fn geometric(values: impl ExactSizeIterator<Item = Option<f64>>) -> Option<f64> {
    let count = values.len();
    let sum = values.map(|value| value.map(f64::ln)).sum::<Option<f64>>()?;
    (count > 0).then(|| (sum / count as f64).exp())
}

impl Batch {
    /// How many operations of `side` make a batch; warms it up too.
    pub(crate) fn count(self, side: Side<'_>) -> anyhow::Result<u64> {
        let (mut count, mut least_nanos) = (self.first, f64::MAX);
        loop {
            // By the fastest so far: on a busy machine a few may take long.
            least_nanos = least_nanos.min(time(side, count)?);
            if least_nanos * count as f64 > self.micros as f64 * 1e3 {
                return Ok(count);
            }
            count *= 2;
        }
    }
}

/// Nanoseconds for one operation in a batch of `count`.
fn time(side: Side<'_>, count: u64) -> anyhow::Result<f64> {
    let start = Instant::now();
    side(count)?;
    Ok(start.elapsed().as_nanos() as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn threads_share_all_operations() {
        let shares = Mutex::new(Vec::new());
        on_threads(3, 8, |thread, share| {
            shares.lock().unwrap().push((thread, share));
            Ok(())
        })
        .unwrap();
        let mut shares = shares.into_inner().unwrap();
        shares.sort_unstable();
        assert_eq!(shares, [(0, 3), (1, 3), (2, 2)]);
    }

    #[test]
    fn a_geometric_mean_needs_all_values() {
        assert_eq!(geometric([Some(2.0), Some(8.0)].into_iter()), Some(4.0));
        assert_eq!(geometric([Some(2.0), None].into_iter()), None);
        assert_eq!(geometric([].into_iter()), None);
    }

    #[test]
    fn what_fails_on_another_thread_fails() {
        let work = |thread, _| match thread {
            1 => anyhow::bail!("on the second"),
            _ => Ok(()),
        };
        assert_eq!(on_threads(2, 2, work).unwrap_err().to_string(), "on the second");
    }
}
