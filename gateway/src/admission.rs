//! Which connections are open, and which has to make room for a new one.
//!
//! There are `max_connections` places, the last `reserve` of them for health and management. When
//! the others are taken, a new connection gets the place of one that can better be done without:
//! one that had no request for a second, whatever else arrives on it; or else another one without,
//! or one whose client is waited for; or else one of a client that has at least two more. Of these,
//! those of the clients with most connections go first, as the number of binary digits tells, and
//! those that wait the longest.

use crate::budget::is_granted;
use crate::config::Config;
use crate::connection::{Need, State};
use crate::network::Client;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The table of connections.
pub(crate) struct Admission {
    /// Places for connections of all kinds.
    general: usize,
    reserve: usize,
    /// Share of one client, in percent of the places that others leave.
    share: u8,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Entry>,
    by_client: BTreeMap<Client, usize>,
    /// How many of those open are in the reserve.
    reserved: usize,
    /// Until when nothing is looked for where nothing was found.
    barren: HashMap<(Scope, usize), Instant>,
}

/// Where to look for connections to do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    General,
    Reserve,
    Client(Client),
    All,
}

/// How long nothing is looked for after nothing was found: a look costs as much as there are
/// connections, and new ones may come faster than that.
const BARREN: Duration = Duration::from_millis(50);

/// How long a connection may be without a request, or wait, and be as good as one that does not.
const FRESH: Duration = Duration::from_secs(1);

/// One in so many connections is done without at once, for the same reason.
const BATCH: usize = 64;

struct Entry {
    state: Arc<State>,
    /// `None` for a trusted proxy, which is not limited.
    client: Option<Client>,
    reserved: bool,
}

/// A connection's place; free again when dropped.
pub(crate) struct Place {
    admission: Arc<Admission>,
    number: u64,
    pub(crate) state: Arc<State>,
    /// Whether only requests for health and management may be answered on it.
    pub(crate) reserved: bool,
}

impl Admission {
    pub(crate) fn new(config: &Config) -> Admission {
        let reserve = config.clients.reserve.min(config.max_connections / 4);
        Admission {
            general: (config.max_connections - reserve).max(1),
            reserve,
            share: config.clients.address_share,
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of this client; `None` if it has its share, or if all others are
    /// busy.
    pub(crate) fn admit(self: &Arc<Self>, client: Option<Client>, state: State) -> Option<Place> {
        let mut table = self.lock();
        if client.is_some_and(|client| !self.has_share(&mut table, client)) {
            return None;
        }
        let own = client.map_or(0, |client| table.count(client));
        let mut reserved = false;
        if table.general() >= self.general && !table.shed(Scope::General, own) {
            reserved = true;
            let room = table.reserved < self.reserve;
            if !room && !table.shed(Scope::Reserve, own) {
                return None;
            }
        }
        let state = Arc::new(state);
        let number = table.insert(Entry { state: state.clone(), client, reserved });
        drop(table);
        Some(Place { admission: self.clone(), number, state, reserved })
    }

    /// The connections that are open.
    pub(crate) fn states(&self) -> Vec<Arc<State>> {
        self.lock().open.values().map(|entry| entry.state.clone()).collect()
    }

    /// Makes room by one connection, if any waits for its client.
    pub(crate) fn shed_one(&self) {
        self.lock().shed(Scope::All, usize::MAX);
    }

    /// Whether a client may have one more, if one of its own has to make room for it.
    fn has_share(&self, table: &mut Table, client: Client) -> bool {
        let (total, taken) = (self.general as u64, table.general() as u64);
        let own = table.count(client);
        is_granted(total, taken.max(own as u64), own as u64, 1, self.share)
            || table.shed(Scope::Client(client), own)
    }
}

impl Place {
    /// The client behind a trusted proxy is known now; `false` if it has its share already.
    pub(crate) fn identify(&self, client: Client) -> bool {
        let mut table = self.admission.lock();
        if !self.admission.has_share(&mut table, client) {
            return false;
        }
        // A place that was shed meanwhile has ended anyway.
        let Some(entry) = table.remove(self.number) else { return false };
        table.put(self.number, Entry { client: Some(client), ..entry });
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.lock().remove(self.number);
    }
}

impl Table {
    fn general(&self) -> usize {
        self.open.len() - self.reserved
    }

    fn count(&self, client: Client) -> usize {
        self.by_client.get(&client).copied().unwrap_or(0)
    }

    fn insert(&mut self, entry: Entry) -> u64 {
        let number = self.next;
        self.next += 1;
        self.put(number, entry);
        number
    }

    fn put(&mut self, number: u64, entry: Entry) {
        self.reserved += usize::from(entry.reserved);
        if let Some(client) = entry.client {
            *self.by_client.entry(client).or_default() += 1;
        }
        self.open.insert(number, entry);
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.open.remove(&number)?;
        self.reserved -= usize::from(entry.reserved);
        if let Some(client) = entry.client
            && let Some(count) = self.by_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
        Some(entry)
    }

    /// Ends the connections that can best be done without, for one of a client with `own`; `false`
    /// if none can.
    fn shed(&mut self, scope: Scope, own: usize) -> bool {
        let now = Instant::now();
        if self.barren.get(&(scope, own)).is_some_and(|until| now < *until) {
            return false;
        }
        let count = |client| self.count(client);
        let candidates = self.open.iter().filter(|(_, entry)| scope.contains(entry));
        let candidates = candidates.filter_map(|(number, entry)| {
            let (need, count) = (entry.state.need(now), entry.client.map_or(0, count));
            let (kind, order) = match need {
                Need::Idle(since) if now.duration_since(since) >= FRESH => (0u8, 0u8),
                // A client that begins its requests anew gains nothing by it.
                Need::Waiting(_) if matches!(scope, Scope::Client(_)) => return None,
                Need::Waiting(Reverse(strain)) if strain >= FRESH => (1, 0),
                Need::Idle(_) => (1, 1),
                Need::Waiting(_) => (1, 2),
                Need::Busy if count < own.saturating_add(2) => return None,
                Need::Busy => (2, 0),
            };
            Some((kind, Reverse(count.max(1).ilog2()), order, need, *number))
        });
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_unstable();
        let Some(first) = candidates.first().copied() else {
            self.barren.retain(|_, until| now < *until);
            self.barren.insert((scope, own), now + BARREN);
            return false;
        };
        let alike = candidates.iter().take_while(|other| (other.0, other.1) == (first.0, first.1));
        let batch = (self.open.len() / BATCH).max(1);
        let most = [batch, batch.min(4), 1][usize::from(first.0)];
        for (.., number) in alike.take(most) {
            if let Some(entry) = self.remove(*number) {
                entry.state.shed();
            }
        }
        true
    }
}

impl Scope {
    fn contains(self, entry: &Entry) -> bool {
        match self {
            Scope::General => !entry.reserved,
            Scope::Reserve => entry.reserved,
            Scope::Client(client) => entry.client == Some(client),
            Scope::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(limit: usize, reserve: usize, share: u8) -> (Arc<Admission>, Config) {
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), "unused");
        config.max_connections = limit;
        config.clients.reserve = reserve;
        config.clients.address_share = share;
        (Arc::new(Admission::new(&config)), config)
    }

    fn client(number: u8) -> Option<Client> {
        Some(Client::of([127, 0, 0, number].into()))
    }

    fn is_open(place: &Place) -> bool {
        place.admission.lock().open.contains_key(&place.number)
    }

    #[test]
    fn the_oldest_idle_one_of_the_heaviest_client_makes_room() {
        let (admission, config) = admission(5, 1, 100);
        let admit = |number| admission.admit(client(number), State::new(&config)).unwrap();
        let places = [admit(1), admit(2), admit(2), admit(3)];
        let newcomer = admit(4);
        assert!(!newcomer.reserved);
        assert_eq!(places.each_ref().map(is_open), [true, false, true, true]);
        // All have one: the oldest goes.
        let last = admit(5);
        assert_eq!(places.each_ref().map(is_open), [false, false, true, true]);
        assert!(is_open(&newcomer) && is_open(&last));
    }

    #[test]
    fn busy_ones_stay_and_the_reserve_is_left() {
        let (admission, config) = admission(8, 2, 100);
        let admit = |number| admission.admit(client(number), State::new(&config));
        let places: Vec<_> = (0..6).map(|number| admit(number).unwrap()).collect();
        let busy: Vec<_> = places.iter().map(|place| place.state.begin_for_tests()).collect();
        let reserved = [admit(7).unwrap(), admit(8).unwrap()];
        assert!(reserved.iter().all(|place| place.reserved));
        let third = admit(9).unwrap();
        assert!(third.reserved && !is_open(&reserved[0]) && is_open(&reserved[1]));
        assert!(places.iter().all(is_open));
        drop(busy);
        std::thread::sleep(2 * BARREN);
        assert!(!admit(10).unwrap().reserved);
    }

    #[test]
    fn a_busy_one_makes_room_for_a_client_with_fewer() {
        let (admission, config) = admission(6, 0, 100);
        let admit = |number| admission.admit(client(number), State::new(&config));
        let places: Vec<_> = [1, 1, 1, 1, 2, 2].map(|number| admit(number).unwrap()).into();
        let _busy: Vec<_> = places.iter().map(|place| place.state.begin_for_tests()).collect();
        let newcomer = admit(3).unwrap();
        let left = places.iter().map(is_open).filter(|is_open| *is_open).count();
        assert_eq!((left, is_open(&newcomer)), (5, true));
        assert_eq!(admission.lock().count(client(1).unwrap()), 3);
        assert!(admit(1).is_none(), "it has most");
    }

    #[test]
    fn a_client_leaves_places_for_others() {
        let (admission, config) = admission(16, 0, 50);
        let admit = |number| admission.admit(client(number), State::new(&config));
        let mut all = Vec::new();
        for number in 0..4 {
            let places: Vec<_> = (0..16)
                .map_while(|_| admit(number))
                .map(|place| (place.state.begin_for_tests(), place))
                .collect();
            assert_eq!(places.len(), [8, 4, 2, 1][usize::from(number)]);
            all.push(places);
        }
        // Beyond its share, a client replaces what it has; a trusted proxy has no share.
        let (busy, idle) = all[0].pop().unwrap();
        drop(busy);
        std::thread::sleep(2 * BARREN);
        assert!(admit(0).is_some() && !is_open(&idle));
        assert!(admission.admit(None, State::new(&config)).is_some());
        drop(all);
        drop(idle);
        assert!(admission.lock().by_client.is_empty());
    }

    #[test]
    fn a_proxys_connection_counts_for_its_client() {
        let (admission, config) = admission(8, 0, 25);
        let admit = || admission.admit(None, State::new(&config)).unwrap();
        let places: Vec<_> = (0..3).map(|_| admit()).collect();
        let busy: Vec<_> = places.iter().map(|place| place.state.begin_for_tests()).collect();
        // A quarter of what others leave.
        let one = client(1).unwrap();
        assert!(places[0].identify(one));
        assert!(!places[1].identify(one));
        assert_eq!(admission.lock().by_client.get(&one), Some(&1));
        drop(busy);
        drop(places);
        assert!(admission.lock().open.is_empty() && admission.lock().by_client.is_empty());
    }
}
