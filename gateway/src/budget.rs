//! Budgets that all requests share, and the part of one that a single holder may have.
//!
//! A holder is a connection, an address, a function or a tenant. With a share of one half it may hold half
//! of the units that the *other* holders leave: half of all when it is alone, a quarter beside one
//! that holds half. So some is always left for the next one to come, however many there are
//! (a dynamic threshold, as in the buffers of switches: Choudhury and Hahne, 1998). A client that
//! has next to nothing gets a little while there is any, whatever the shares say: others who use
//! the same function must not keep it from that function. But a tenant's share holds in any case.

use crate::fair::Served;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A number of units, and how many of them are taken. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    unit: Unit,
    total: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    units: u64,
    /// Most units at a time, since somebody asked.
    peak: u64,
}

/// What a budget is of. There is one of each.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Bytes of requests to functions and of their answers.
    Byte,
    /// Places of requests to functions, from their body's last byte to their guest's end.
    Place,
    /// Bytes of requests for management and of their answers.
    Managing,
    /// Bytes on disk of artifacts that are being deployed.
    Staged,
}

const UNITS: usize = 4;

/// How much one holder has of each budget, and how long it was served.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Changed under the budget's lock only.
    held: [AtomicU64; UNITS],
    /// How long its tasks had turns.
    pub(crate) turns: Served,
}

impl Unit {
    /// How many a client may have whatever the shares say.
    fn few(self) -> u64 {
        match self {
            Unit::Byte | Unit::Managing => 64 << 10,
            Unit::Place => 1,
            Unit::Staged => 0,
        }
    }
}

impl Account {
    fn of(&self, unit: Unit) -> &AtomicU64 {
        &self.held[unit as usize]
    }

    /// Changes a number under the budget's lock, which takes no atomic addition.
    fn set(&self, unit: Unit, units: u64) {
        self.of(unit).store(units, Ordering::Relaxed);
    }
}

/// A holder of a lease.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) account: Arc<Account>,
    /// In percent.
    pub(crate) share: u8,
    /// Most places, whatever the share.
    pub(crate) most_places: u64,
    pub(crate) kind: Kind,
}

/// Kind of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A function.
    Function,
    /// A connection. It has no places: its client has.
    Connection,
    /// A client, which may have a little whatever the shares say.
    Client,
    /// A tenant. Its limits hold in any case: clients of its functions must not take the shares of
    /// other tenants.
    Tenant,
}

/// The holders of a lease: a function, a client, a connection and a tenant, or fewer.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    list: [Option<Holder>; 4],
    /// The least of their shares, in percent.
    least_share: Option<u8>,
    /// Whether one of them has a number of places that it may have.
    limits_places: bool,
}

impl Holders {
    /// Adds a holder; there is none of its kind yet.
    pub(crate) fn add(&mut self, holder: Holder) {
        if let Some(free) = self.list.iter_mut().find(|place| place.is_none()) {
            self.least_share =
                Some(self.least_share.map_or(holder.share, |it| it.min(holder.share)));
            self.limits_places |= holder.most_places < u64::MAX;
            *free = Some(holder);
        } else {
            debug_assert!(false, "a lease has more than four holders");
        }
    }

    /// The holders of units of one kind.
    fn of(&self, unit: Unit) -> impl Iterator<Item = &Holder> {
        let has =
            move |holder: &&Holder| holder.kind != Kind::Connection || !matches!(unit, Unit::Place);
        self.list.iter().flatten().filter(has)
    }

    /// Whether each of them may have more, whatever it has: all units that are taken would be in the least
    /// share, with those to be taken. Most often they are, and nobody is looked at.
    fn have_room(&self, unit: Unit, total: u64, sum: u64) -> bool {
        let share = u64::from(self.least_share.unwrap_or(100));
        let limited = self.limits_places && matches!(unit, Unit::Place);
        let parts = sum.checked_mul(100).zip(total.checked_mul(share));
        !limited && parts.is_some_and(|(hundredfold, part)| hundredfold <= part)
    }

    /// The account of the client, if there is one.
    pub(crate) fn client(&self) -> Option<&Arc<Account>> {
        let client = self.list.iter().flatten().find(|holder| holder.kind == Kind::Client);
        client.map(|holder| &holder.account)
    }

    /// The account of the client, or of another holder if there is none.
    fn payer(&self) -> Arc<Account> {
        let any = || self.list.iter().flatten().next().map(|holder| &holder.account);
        self.client().or_else(any).cloned().unwrap_or_default()
    }
}

/// Units taken from a budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Budget,
    /// The same for all requests of one connection to one function.
    holders: Arc<Holders>,
    units: u64,
    /// Units among them that nobody has asked for yet.
    spare: u64,
}

/// Bytes are taken in multiples of so many, as long as there are enough: few requests with their answers
/// have more.
const GRAIN: u64 = 1 << 10;

/// Nothing is left, or nothing for this holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    pub(crate) fn new(unit: Unit, total: u64) -> Budget {
        Budget(Arc::new(Inner { unit, total, taken: Mutex::default() }))
    }

    /// A lease of nothing, to be grown.
    pub(crate) fn lease(&self, holders: impl Into<Arc<Holders>>) -> Lease {
        Lease { budget: self.clone(), holders: holders.into(), units: 0, spare: 0 }
    }

    /// How many units are taken.
    pub(crate) fn taken_units(&self) -> u64 {
        self.taken().units
    }

    /// Most units that were taken at a time since the last call.
    pub(crate) fn peak(&self) -> u64 {
        let mut taken = self.taken();
        let present = taken.units;
        std::mem::replace(&mut taken.peak, present)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a holder of `own` units may have `more`, when all holders together have `taken`.
pub(crate) fn is_granted(total: u64, taken: u64, own: u64, more: u64, share: u8) -> bool {
    let others_leave = total.saturating_sub(taken.saturating_sub(own));
    let wanted = own.saturating_add(more);
    let (hundredfold, part) = (wanted.checked_mul(100), others_leave.checked_mul(share.into()));
    wanted <= 1
        || match (hundredfold, part) {
            (Some(hundredfold), Some(part)) => hundredfold <= part,
            _ => u128::from(wanted) * 100 <= u128::from(others_leave) * u128::from(share),
        }
}

impl Lease {
    /// Takes more, or nothing if there is not enough.
    pub(crate) fn grow(&mut self, units: u64) -> Result<(), Exhausted> {
        let Some(more) = units.checked_sub(self.spare).filter(|more| *more > 0) else {
            self.spare -= units;
            return Ok(());
        };
        let grains = match self.budget.0.unit {
            Unit::Byte => more.checked_next_multiple_of(GRAIN).unwrap_or(more),
            _ => more,
        };
        if grains == more || self.take(grains).is_err() {
            self.take(more)?;
            self.spare = 0;
        } else {
            self.spare = grains - more;
        }
        Ok(())
    }

    fn take(&mut self, units: u64) -> Result<(), Exhausted> {
        let Inner { unit, total, .. } = *self.budget.0;
        let mut taken = self.budget.taken();
        let sum = taken.units.checked_add(units).filter(|sum| *sum <= total).ok_or(Exhausted)?;
        let order = Ordering::Relaxed; // the lock orders
        let own = |holder: &Holder| holder.account.of(unit).load(order);
        let has_few =
            |holder: &Holder| holder.kind == Kind::Client && own(holder) + units <= unit.few();
        let is_within = |holder: &Holder| {
            let most = if matches!(unit, Unit::Place) { holder.most_places } else { u64::MAX };
            own(holder).saturating_add(units) <= most
                && is_granted(total, taken.units, own(holder), units, holder.share)
        };
        let are_within = || {
            let may_be_few = self.holders.of(unit).any(has_few);
            let is_excused = |holder: &Holder| may_be_few && holder.kind != Kind::Tenant;
            self.holders.of(unit).all(|holder| is_excused(holder) || is_within(holder))
        };
        if !self.holders.have_room(unit, total, sum) && !are_within() {
            return Err(Exhausted);
        }
        for Holder { account, .. } in self.holders.of(unit) {
            account.set(unit, account.of(unit).load(order) + units);
        }
        taken.units = sum;
        taken.peak = taken.peak.max(sum);
        drop(taken);
        self.units += units;
        Ok(())
    }

    /// Who has it: the client, or another holder if there is none.
    pub(crate) fn payer(&self) -> Arc<Account> {
        self.holders.payer()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (unit, units) = (self.budget.0.unit, self.units);
        if units == 0 {
            return;
        }
        let mut taken = self.budget.taken();
        taken.units -= units;
        for Holder { account, .. } in self.holders.of(unit) {
            account.set(unit, account.of(unit).load(Ordering::Relaxed) - units);
        }
    }
}

/// Adds to a count, if that stays within a bound; whether it does.
pub(crate) fn count_within(count: &AtomicU64, more: u64, most: u64) -> bool {
    let add = |present: u64| present.checked_add(more).filter(|sum| *sum <= most);
    count.try_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
}

/// The accounts of holders of one kind, by key. An account lives as long as someone holds it.
#[derive(Debug)]
pub(crate) struct Accounts<K>(Mutex<Open<K>>);

#[derive(Debug)]
struct Open<K> {
    by_key: BTreeMap<K, Weak<Account>>,
    /// How many may be listed before those that nobody holds are removed.
    sweep_at: usize,
}

/// Least number of accounts that are worth a sweep.
const SWEEP: usize = 64;

impl<K: Ord + Clone> Accounts<K> {
    pub(crate) fn new() -> Accounts<K> {
        Accounts(Mutex::new(Open { by_key: BTreeMap::new(), sweep_at: SWEEP }))
    }

    /// The account of `key`.
    pub(crate) fn of(&self, key: &K) -> Arc<Account> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = open.by_key.get(key).and_then(Weak::upgrade) {
            return account;
        }
        if open.by_key.len() >= open.sweep_at {
            open.by_key.retain(|_, account| account.strong_count() > 0);
            open.sweep_at = SWEEP.max(open.by_key.len() * 2);
        }
        let account = Arc::new(Account::default());
        open.by_key.insert(key.clone(), Arc::downgrade(&account));
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(account: &Arc<Account>, share: u8, kind: Kind) -> Holders {
        holders([(account, share, u64::MAX, kind)])
    }

    fn holders<const N: usize>(list: [(&Arc<Account>, u8, u64, Kind); N]) -> Holders {
        let mut holders = Holders::default();
        for (account, share, most_places, kind) in list {
            holders.add(Holder { account: account.clone(), share, most_places, kind });
        }
        holders
    }

    #[test]
    fn a_lease_comes_back() {
        let budget = Budget::new(Unit::Byte, 10);
        let mut first = budget.lease(Holders::default());
        assert_eq!(first.grow(6), Ok(()));
        assert_eq!(budget.lease(Holders::default()).grow(5), Err(Exhausted));
        assert_eq!(first.grow(4), Ok(()));
        drop(first);
        assert_eq!(budget.lease(Holders::default()).grow(10), Ok(()));
    }

    #[test]
    fn each_holder_leaves_some_for_the_next() {
        let budget = Budget::new(Unit::Byte, 1 << 20);
        let mut leases = Vec::new();
        for number in 0..10 {
            let account = Arc::new(Account::default());
            let mut all = 0;
            loop {
                // Many small leases hold no more than one large one.
                let mut lease = budget.lease(holder(&account, 50, Kind::Function));
                if lease.grow(GRAIN).is_err() {
                    break;
                }
                all += GRAIN;
                leases.push(lease);
            }
            assert_eq!(all, (1 << 19) >> number, "holder {number}");
        }
        drop(leases);
        assert_eq!(budget.taken_units(), 0);
    }

    #[test]
    fn who_has_room_whatever_it_has_is_granted_more() {
        let account = Arc::new(Account::default());
        let total = 300;
        for (share, taken, own, more) in (0..=100).step_by(20).flat_map(|share| {
            let of = move |taken: u64| (0..=taken).step_by(20).map(move |own| (share, taken, own));
            let all = (0..=total).step_by(20).flat_map(of);
            all.flat_map(|(share, taken, own)| [1, 7, 50].map(|more| (share, taken, own, more)))
        }) {
            let holders = holders([(&account, share, u64::MAX, Kind::Function)]);
            if holders.have_room(Unit::Byte, total, taken + more) {
                assert!(is_granted(total, taken, own, more, share), "{share} {taken} {own} {more}");
            }
        }
        let limited = holders([(&account, 100, 3, Kind::Tenant)]);
        assert!(
            limited.have_room(Unit::Byte, total, 4) && !limited.have_room(Unit::Place, total, 4)
        );
    }

    #[test]
    fn a_client_gets_a_little_while_there_is_any() {
        let budget = Budget::new(Unit::Place, 10);
        let function = Arc::new(Account::default());
        let mut all = budget.lease(holder(&function, 80, Kind::Function));
        assert_eq!(all.grow(8), Ok(()));
        let ask = |client: &Arc<Account>| {
            let list =
                [(&function, 80, u64::MAX, Kind::Function), (client, 50, u64::MAX, Kind::Client)];
            let mut lease = budget.lease(holders(list));
            lease.grow(1).map(|()| lease)
        };
        let clients: [Arc<Account>; 3] = Default::default();
        let first = ask(&clients[0]).unwrap();
        assert_eq!(ask(&clients[0]).err(), Some(Exhausted), "the function has its share");
        let second = ask(&clients[1]).unwrap();
        assert_eq!(ask(&clients[2]).err(), Some(Exhausted), "nothing is left");
        drop((first, second));
        assert!(ask(&clients[2]).is_ok());
    }

    #[test]
    fn what_holders_have_is_counted_and_given_back() {
        let budget = Budget::new(Unit::Byte, 100);
        let accounts: [Arc<Account>; 4] = Default::default();
        let list = accounts.each_ref().map(|account| (account, 100, u64::MAX, Kind::Function));
        let held = || accounts.each_ref().map(|it| it.of(Unit::Byte).load(Ordering::Relaxed));
        let mut lease = budget.lease(holders(list));
        assert_eq!((lease.grow(7), lease.grow(5)), (Ok(()), Ok(())));
        assert_eq!(held(), [12; 4]);
        drop(lease);
        assert_eq!(held(), [0; 4]);
    }

    #[test]
    fn bytes_are_taken_in_grains_as_long_as_there_are_enough() {
        let budget = Budget::new(Unit::Byte, 3 * GRAIN);
        let mut lease = budget.lease(Holders::default());
        assert_eq!((lease.grow(1), lease.grow(GRAIN - 1)), (Ok(()), Ok(())));
        assert_eq!(budget.taken_units(), GRAIN);
        assert_eq!((lease.grow(1), budget.taken_units()), (Ok(()), 2 * GRAIN));
        let mut other = budget.lease(Holders::default());
        assert_eq!((other.grow(GRAIN - 5), budget.taken_units()), (Ok(()), 3 * GRAIN));
        assert_eq!((other.grow(6), other.grow(5)), (Err(Exhausted), Ok(())));
        drop((lease, other));
        let mut exact = budget.lease(Holders::default());
        assert_eq!((exact.grow(2 * GRAIN + 1), budget.taken_units()), (Ok(()), 3 * GRAIN));
        drop(exact);
        assert_eq!(budget.taken_units(), 0);
    }

    #[test]
    fn a_connection_has_no_places() {
        let (connection, client): (Arc<Account>, Arc<Account>) = Default::default();
        let list = || {
            holders([(&connection, 1, u64::MAX, Kind::Connection), (&client, 50, 9, Kind::Client)])
        };
        let (places, bytes) = (Budget::new(Unit::Place, 10), Budget::new(Unit::Byte, 10 << 20));
        let (mut place, mut byte) = (places.lease(list()), bytes.lease(list()));
        assert_eq!((place.grow(3), byte.grow(5 << 10)), (Ok(()), Ok(())));
        let held = |account: &Arc<Account>| {
            [Unit::Place, Unit::Byte].map(|unit| account.of(unit).load(Ordering::Relaxed))
        };
        assert_eq!((held(&connection), held(&client)), ([0, 5 << 10], [3, 5 << 10]));
        assert!(Arc::ptr_eq(&place.payer(), &client));
    }

    #[test]
    fn clients_of_a_tenant_do_not_take_the_shares_of_others() {
        let budget = Budget::new(Unit::Place, 100);
        let of = |tenant: &Arc<Account>, most| {
            let client = Arc::default();
            let list = [(tenant, 50, most, Kind::Tenant), (&client, 100, u64::MAX, Kind::Client)];
            let mut lease = budget.lease(holders(list));
            lease.grow(1).map(|()| lease)
        };
        let [one, two, three]: [Arc<Account>; 3] = Default::default();
        let all = |tenant, most| std::iter::from_fn(|| of(tenant, most).ok()).collect::<Vec<_>>();
        let first = all(&one, u64::MAX);
        assert_eq!(first.len(), 50, "each has a client of its own");
        assert_eq!(all(&two, 7).len(), 7);
        let second = all(&two, u64::MAX);
        assert_eq!((second.len(), all(&three, u64::MAX).len()), (25, 12));
    }

    #[test]
    fn accounts_of_holders_that_left_are_forgotten() {
        let accounts = Accounts::new();
        let held = accounts.of(&0);
        for key in 1..10_000 {
            accounts.of(&key);
        }
        assert!(Arc::ptr_eq(&held, &accounts.of(&0)));
        assert!(accounts.0.lock().unwrap().by_key.len() <= SWEEP);
    }
}
