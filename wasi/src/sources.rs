//! Times and random bytes, as a guest gets them: of this host, or those of a run before.
//!
//! A program that is run again with the same times and other random bytes differs in the memory that depends on
//! random bytes, and the other way round. So a *rerun* notes times and makes random bytes of a seed.

use crate::preview1::{Errno, clock_now, host_random};
use rustix::time::ClockId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wfaas_vm::checkpoint::Learned;

/// Most times of a clock that a rerun notes.
const MAX_TIMES: usize = 1 << 20;

/// Nanoseconds by which times of files differ in a rerun, if they do: there may be as many changes as there are
/// writes. File systems of Linux have grains of this size, too.
const FILE_GRAIN: u64 = 1_000_000;

/// Other times are later than the first ones by these, in nanoseconds.
const LATER_WALL: u64 = 1_000_003_000_000_007;
const LATER_MONOTONIC: u64 = 7_000_011;

/// The sources of a guest, and what it has asked for.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The things that the guest has asked for so far.
    pub(crate) learned: Learned,
    /// The time of the host's monotonic clock that is zero for the guest, in nanoseconds, modulo 2^64.
    pub(crate) monotonic_origin: u64,
    rerun: Option<Rerun>,
}

impl Sources {
    /// Has times and random bytes come from a rerun.
    pub(crate) fn set_rerun(&mut self, rerun: Rerun) {
        self.rerun = Some(rerun);
    }

    /// Sets the monotonic clock.
    pub(crate) fn set_monotonic(&mut self, nanoseconds: u64) {
        let now = clock_now(ClockId::Monotonic).unwrap_or(0);
        self.monotonic_origin = now.wrapping_sub(nanoseconds);
    }

    /// The time of a clock in nanoseconds.
    ///
    /// # Errors
    /// A time that has no number.
    pub(crate) fn now(&mut self, clock: ClockId) -> Result<u64, Errno> {
        let mut now = clock_now(clock)?;
        let is_monotonic = clock == ClockId::Monotonic;
        self.learned.add(if is_monotonic { Learned::MONOTONIC } else { Learned::WALL_CLOCK });
        if is_monotonic {
            now = now.wrapping_sub(self.monotonic_origin);
        }
        Ok(self.rerun.as_ref().map_or(now, |rerun| rerun.lock().time(is_monotonic, now)))
    }

    /// The monotonic clock's time, without a note.
    pub(crate) fn monotonic(&self) -> u64 {
        clock_now(ClockId::Monotonic).unwrap_or(0).wrapping_sub(self.monotonic_origin)
    }

    /// Fills bytes with random ones.
    ///
    /// # Errors
    /// Of the host.
    pub(crate) fn random(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        self.learned.add(Learned::RANDOM);
        match &self.rerun {
            None => host_random(bytes),
            Some(rerun) => {
                rerun.lock().random(bytes);
                Ok(())
            }
        }
    }
}

/// Times and random bytes of a program that may be run again.
#[derive(Debug, Clone)]
pub struct Rerun(Arc<Mutex<Log>>);

/// The source that is another one when a program is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Random bytes.
    RandomBytes,
    /// Times of both clocks, and those of files that the guest has made or changed in memory.
    Times,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::RandomBytes => "random bytes",
            Source::Times => "the time",
        })
    }
}

/// The random bytes and times of a run so far.
#[derive(Debug)]
struct Log {
    seed: [u8; 32],
    /// Random bytes so far.
    taken: u64,
    wall: Times,
    monotonic: Times,
    /// Times of files that the guest makes or changes in memory, and of the roots of its trees.
    files: Times,
    /// Whether the guest may have been told any of them.
    files_told: bool,
}

/// The times of one clock in a run.
#[derive(Debug, Default)]
struct Times {
    /// A time that is less nanoseconds from the one before is that one.
    grain: u64,
    /// Shared by the runs: only the first one notes any.
    noted: Arc<Vec<Noted>>,
    /// Of a run that is repeated: the place of its next time, and how often it was given. `None` notes them.
    next: Option<(usize, u64)>,
    /// Of a run that is repeated: how much later its times are.
    later: u64,
    /// The host's time when a run that is repeated asked for more times than are noted.
    ended: Option<u64>,
}

/// A time that was given, and how often in a row.
#[derive(Debug, Clone, Copy)]
struct Noted {
    time: u64,
    given: u64,
}

impl Rerun {
    /// The first run: times of this host are noted, and random bytes are of a seed of this host's.
    ///
    /// # Errors
    /// The host has no random bytes.
    pub fn first() -> std::io::Result<Rerun> {
        Ok(Rerun::of(Log {
            seed: seed()?,
            taken: 0,
            wall: Times::default(),
            monotonic: Times::default(),
            files: Times { grain: FILE_GRAIN, ..Times::default() },
            files_told: false,
        }))
    }

    /// The same run again, but for one source. `None` if it has asked for too many times to note.
    ///
    /// # Errors
    /// The host has no random bytes.
    pub fn again(&self, other: Source) -> std::io::Result<Option<Rerun>> {
        let log = self.lock();
        if [&log.wall, &log.monotonic, &log.files]
            .iter()
            .any(|times| times.noted.len() >= MAX_TIMES)
        {
            return Ok(None);
        }
        let is_time = other == Source::Times;
        Ok(Some(Rerun::of(Log {
            seed: if is_time { log.seed } else { seed()? },
            taken: 0,
            wall: log.wall.again(if is_time { LATER_WALL } else { 0 }),
            monotonic: log.monotonic.again(if is_time { LATER_MONOTONIC } else { 0 }),
            files: log.files.again(if is_time { LATER_WALL } else { 0 }),
            files_told: false,
        })))
    }

    /// Whether the guest has made or changed files in memory, and so may have asked for their times, or has
    /// asked for the root's of a tree.
    pub fn has_file_times(&self) -> bool {
        self.lock().files_told
    }

    /// The time to give a file: `now` at the first run, or up to a millisecond before.
    pub(crate) fn file_time(&self, now: u64) -> u64 {
        self.tell_file_times();
        self.untold_file_time(now)
    }

    /// The same for a file that the guest does not know of yet.
    pub(crate) fn untold_file_time(&self, now: u64) -> u64 {
        self.lock().files.time(now)
    }

    /// The guest is told times that it was not told before.
    pub(crate) fn tell_file_times(&self) {
        self.lock().files_told = true;
    }

    fn of(log: Log) -> Rerun {
        Rerun(Arc::new(Mutex::new(log)))
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    /// The same times again, but later.
    fn again(&self, later: u64) -> Times {
        let (grain, noted) = (self.grain, self.noted.clone());
        Times { grain, noted, next: Some((0, 0)), later, ended: None }
    }

    /// The time to give: `now` at the first run.
    fn time(&mut self, now: u64) -> u64 {
        match self.next {
            None => self.note(now),
            Some((at, given)) => self.repeat(at, given, now).wrapping_add(self.later),
        }
    }

    fn note(&mut self, now: u64) -> u64 {
        let noted = Arc::make_mut(&mut self.noted);
        if let Some(last) = noted.last_mut()
            && now.abs_diff(last.time) < self.grain
        {
            last.given += 1;
            return last.time;
        }
        if noted.len() < MAX_TIMES {
            noted.push(Noted { time: now, given: 1 });
        }
        now
    }

    /// The noted time at a place, which was `given` so often so far.
    fn repeat(&mut self, at: usize, given: u64, now: u64) -> u64 {
        if let Some(noted) = self.noted.get(at) {
            let is_over = given + 1 == noted.given;
            self.next = Some(if is_over { (at + 1, 0) } else { (at, given + 1) });
            return noted.time;
        }
        // Time goes on for a run that asks more often, so that a loop until a time ends.
        let ended = *self.ended.get_or_insert(now);
        let last = self.noted.last().map_or(ended, |noted| noted.time);
        last.saturating_add(now.saturating_sub(ended))
    }
}

impl Log {
    /// The time of a clock to give: `now` at the first run.
    fn time(&mut self, is_monotonic: bool, now: u64) -> u64 {
        if is_monotonic { self.monotonic.time(now) } else { self.wall.time(now) }
    }

    /// The next bytes of BLAKE3 of the seed.
    fn random(&mut self, bytes: &mut [u8]) {
        let mut stream = blake3::Hasher::new_keyed(&self.seed).finalize_xof();
        stream.set_position(self.taken);
        stream.fill(bytes);
        self.taken += bytes.len() as u64;
    }
}

fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    fill_random(&mut seed)?;
    Ok(seed)
}

/// Fills bytes with random ones of this host's.
///
/// # Errors
/// The host has none.
pub fn fill_random(bytes: &mut [u8]) -> std::io::Result<()> {
    let filled = host_random(bytes);
    filled.map_err(|_| std::io::Error::other("this host has no random bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rerun: &Rerun) -> ([u8; 40], Vec<u64>) {
        let mut sources = Sources::default();
        sources.set_rerun(rerun.clone());
        let mut bytes = [0; 40];
        let (first, second) = bytes.split_at_mut(7);
        sources.random(first).unwrap();
        sources.random(second).unwrap();
        let clocks = [ClockId::Realtime, ClockId::Monotonic, ClockId::Realtime];
        (bytes, clocks.map(|clock| sources.now(clock).unwrap()).to_vec())
    }

    #[test]
    fn a_run_again_differs_in_one_source() {
        let first = Rerun::first().unwrap();
        let (bytes, times) = of(&first);
        let (other, same_times) = of(&first.again(Source::RandomBytes).unwrap().unwrap());
        assert_ne!(other, bytes);
        assert_eq!(same_times, times);
        let (same, later) = of(&first.again(Source::Times).unwrap().unwrap());
        assert_eq!(same, bytes);
        let by: Vec<u64> = later.iter().zip(&times).map(|(later, time)| later - time).collect();
        assert_eq!(by, [LATER_WALL, LATER_MONOTONIC, LATER_WALL]);
    }

    #[test]
    fn each_clock_of_a_run_again_goes_on_by_itself() {
        let first = Rerun::first().unwrap();
        let time = |rerun: &Rerun, is_monotonic, now| rerun.lock().time(is_monotonic, now);
        assert_eq!(time(&first, false, 1_000_000), 1_000_000);
        assert_eq!(time(&first, true, 5), 5);
        assert!(!first.has_file_times());
        assert_eq!(first.file_time(9), 9);
        assert!(first.has_file_times());
        let again = first.again(Source::RandomBytes).unwrap().unwrap();
        assert_eq!(again.file_time(80), 9);
        let later = first.again(Source::Times).unwrap().unwrap();
        assert_eq!(later.file_time(80), 9 + LATER_WALL);
        let monotonic = [70, 80, 95].map(|now| time(&again, true, now));
        assert_eq!(monotonic, [5, 5, 20]);
        assert_eq!(time(&again, false, 2_000_000), 1_000_000);
    }

    #[test]
    fn many_changes_of_files_have_few_times() {
        let first = Rerun::first().unwrap();
        let asked: Vec<u64> = (0..3 << 19).collect();
        let times =
            |rerun: &Rerun| -> Vec<u64> { asked.iter().map(|now| rerun.file_time(*now)).collect() };
        let given: Vec<u64> = asked.iter().map(|now| now / 1_000_000 * 1_000_000).collect();
        assert!(times(&first) == given);
        let again = first.again(Source::RandomBytes).unwrap().expect("they are few enough");
        assert!(times(&again) == given);
        assert_eq!(again.file_time(7_000_000), 1_000_000, "time goes on from here");
        assert_eq!(again.file_time(7_000_009), 1_000_009);
    }
}
