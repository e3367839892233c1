//! The table of a function's sessions.

use crate::kept::Share;
use crate::random;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wfaas_function::SessionState;

/// The name of a session, which nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id([u8; 16]);

impl Id {
    /// A new one; `None` if the kernel has no random numbers.
    fn random() -> Option<Id> {
        random::bytes().ok().map(Id)
    }

    /// Reads 32 hexadecimal digits, in lower case.
    pub(super) fn parse(text: &[u8]) -> Option<Id> {
        let digits: &[u8; 32] = text.try_into().ok()?;
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 16];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Id(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    /// Whoever reads a log must not be able to take a session over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id")
    }
}

/// The sessions of one function.
#[derive(Debug)]
pub(super) struct Table {
    max: usize,
    idle: Duration,
    share: Share,
    sessions: Mutex<Sessions>,
}

/// The sessions, and those without a request.
#[derive(Debug, Default)]
struct Sessions {
    by_id: HashMap<Id, Kept>,
    idle: Idle,
}

/// The sessions without a request, by the end of their last one: the oldest is found at once.
#[derive(Debug, Default)]
struct Idle {
    /// Those whose id nobody has sent back yet.
    new: BTreeSet<(Instant, Id)>,
    /// The others.
    used: BTreeSet<(Instant, Id)>,
    /// Bytes of the states of all of them.
    bytes: u64,
}

impl Idle {
    fn set(&mut self, kept: &Kept) -> &mut BTreeSet<(Instant, Id)> {
        if kept.is_used { &mut self.used } else { &mut self.new }
    }

    fn add(&mut self, id: Id, kept: &Kept) {
        self.set(kept).insert((kept.last, id));
        self.bytes += kept.bytes();
    }

    fn remove(&mut self, id: Id, kept: &Kept) {
        if self.set(kept).remove(&(kept.last, id)) {
            self.bytes -= kept.bytes();
        }
    }

    /// The one to end if one has to: clients that keep no ids must not take the sessions of those that do.
    fn first_to_end(&self) -> Option<Id> {
        self.new.first().or_else(|| self.used.first()).map(|(_, id)| *id)
    }

    /// One whose last request ended at `moment` or before.
    fn since(&self, moment: Instant) -> Option<Id> {
        let oldest = [&self.new, &self.used].map(BTreeSet::first);
        oldest.into_iter().flatten().find(|(last, _)| *last <= moment).map(|(_, id)| *id)
    }
}

/// A session.
#[derive(Debug)]
struct Kept {
    /// `None` until its first request has been answered.
    state: Option<SessionState>,
    /// Whether a request of it is under way.
    is_busy: bool,
    /// Whether a client has sent its id back.
    is_used: bool,
    /// End of its last request.
    last: Instant,
}

impl Kept {
    fn bytes(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.bytes() as u64)
    }
}

/// The result of asking for a session.
#[derive(Debug)]
pub(super) enum Claim {
    /// The request may begin.
    Held(Held),
    /// Another request of the session is under way.
    Busy,
    /// As many sessions as may be have requests under way.
    Full,
}

/// A session with a request under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    table: Arc<Table>,
    id: Id,
    state: Option<SessionState>,
}

impl Table {
    /// At most `max` sessions, which end after `idle`.
    pub(super) fn new(max: usize, idle: Duration, share: Share) -> Table {
        Table { max, idle, share, sessions: Mutex::default() }
    }

    /// Begins a request of the session `asked`, or of a new one if there is no such session (any more).
    pub(super) fn claim(self: &Arc<Table>, asked: Option<Id>) -> Claim {
        let now = Instant::now();
        let mut sessions = self.lock();
        let Sessions { by_id, idle } = &mut *sessions;
        if let Some((id, kept)) = asked.and_then(|id| Some((id, by_id.get_mut(&id)?))) {
            if kept.is_busy {
                return Claim::Busy;
            }
            if now.duration_since(kept.last) < self.idle {
                idle.remove(id, kept);
                (kept.is_busy, kept.is_used) = (true, true);
                let state = kept.state.clone();
                return Claim::Held(Held { table: self.clone(), id, state });
            }
        }
        let mut ended = None;
        if by_id.len() >= self.max {
            ended = self.end_one(&mut sessions);
            if ended.is_none() {
                return Claim::Full;
            }
        }
        let claim = self.begin(&mut sessions, now);
        drop(sessions);
        drop(ended);
        claim
    }

    /// Begins a request of a new session.
    fn begin(self: &Arc<Table>, sessions: &mut Sessions, now: Instant) -> Claim {
        let Some(id) = Id::random() else { return Claim::Full };
        match sessions.by_id.entry(id) {
            // Nobody will ever see this, and nobody must get another's session.
            Entry::Occupied(_) => Claim::Full,
            Entry::Vacant(place) => {
                place.insert(Kept { state: None, is_busy: true, is_used: false, last: now });
                Claim::Held(Held { table: self.clone(), id, state: None })
            }
        }
    }

    /// Ends the sessions that were idle for too long.
    pub(super) fn end_idle(&self) {
        let now = Instant::now();
        let mut ended = Vec::new();
        let mut sessions = self.lock();
        if let Some(moment) = now.checked_sub(self.idle) {
            while let Some(id) = sessions.idle.since(moment) {
                ended.extend(self.end(&mut sessions, id));
            }
        }
        let room = 2 * sessions.by_id.len();
        sessions.by_id.shrink_to(room);
        drop(sessions);
        drop(ended);
    }

    /// Ends the session that was idle for longest, of those whose id never came back if there are any.
    fn end_one(&self, sessions: &mut Sessions) -> Option<Kept> {
        let id = sessions.idle.first_to_end()?;
        self.end(sessions, id)
    }

    /// Ends an idle session.
    fn end(&self, sessions: &mut Sessions, id: Id) -> Option<Kept> {
        let ended = sessions.by_id.remove(&id)?;
        sessions.idle.remove(id, &ended);
        self.share.give_back(ended.bytes());
        Some(ended)
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let sessions = std::mem::take(&mut *self.lock());
        self.share.give_back(sessions.by_id.values().map(Kept::bytes).sum());
    }
}

impl Held {
    /// The state that the request goes on from; `None` for the function's image.
    pub(super) fn state(&self) -> Option<&SessionState> {
        self.state.as_ref()
    }

    /// Keeps the state after the request; the session's id. `None` if there is no room for it even without
    /// the function's idle sessions: the state stays as it was, and so do they.
    pub(super) fn keep(self, state: SessionState) -> Option<Id> {
        let (mut ended, after) = (Vec::new(), state.bytes() as u64);
        let mut sessions = self.table.lock();
        let share = &self.table.share;
        let before = sessions.by_id.get(&self.id)?.bytes();
        let growth = after.saturating_sub(before);
        if growth > share.free() + sessions.idle.bytes {
            return None;
        }
        while !share.take(growth) {
            ended.push(self.table.end_one(&mut sessions)?);
        }
        let kept = sessions.by_id.get_mut(&self.id).expect("a session that is busy is not ended");
        let old = kept.state.replace(state);
        share.give_back(before.saturating_sub(after));
        drop(sessions);
        drop((ended, old));
        Some(self.id)
    }

    /// Ends the session, of which a program is over; whether it had a state.
    pub(super) fn end(self) -> bool {
        let mut sessions = self.table.lock();
        // It is busy, so it is not among the idle ones.
        let ended = sessions.by_id.remove(&self.id);
        drop(sessions);
        self.table.share.give_back(ended.as_ref().map_or(0, Kept::bytes));
        ended.is_some_and(|kept| kept.state.is_some())
    }
}

impl Drop for Held {
    /// Ends the request. A session that has no state yet ends with it.
    fn drop(&mut self) {
        let mut sessions = self.table.lock();
        let Sessions { by_id, idle } = &mut *sessions;
        let Entry::Occupied(mut place) = by_id.entry(self.id) else { return };
        if place.get().state.is_none() {
            place.remove();
            return;
        }
        let kept = place.get_mut();
        (kept.is_busy, kept.last) = (false, Instant::now());
        idle.add(self.id, kept);
    }
}
