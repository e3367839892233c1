//! The queue: lines of runnable guests, and all guests that were put off.

use super::gate::Gate;
use super::payer::{Payer, Tenant};
use super::ticket::Ticket;
use super::{Counts, Place};
use crate::budget::Account;
use crate::fair::Lines;
use crate::standing::Standing;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

/// The head start of tenants and functions that come anew, in nanoseconds: a slice.
const CREDIT: u64 = 1_000_000;

/// Under the scheduler's lock.
#[derive(Debug)]
pub(super) struct Queue {
    threads: usize,
    /// Guests that run, or are granted: more than threads, if nobody is ahead of them.
    gate: Arc<Gate>,
    /// Tenants with runnable guests: their places.
    tenants: Lines<usize>,
    /// Functions with runnable guests, by the place of their tenant.
    functions: Vec<Lines<Line>>,
    /// Guests that were put off, by number: the youngest last.
    put_off: BTreeMap<u64, PutOff>,
    /// The number of the next one that joins a line or is put off.
    next: u64,
}

/// Runnable guests of one function, by number.
type Line = VecDeque<(u64, Arc<Ticket>)>;

/// A guest that was in line or asleep, and has not ended.
#[derive(Debug)]
pub(super) struct PutOff {
    ticket: Arc<Ticket>,
    payer: Arc<Payer>,
    client: Arc<Account>,
    /// Given back when the guest makes room, before its task knows.
    _place: Place,
}

impl Queue {
    pub(super) fn new(threads: usize, gate: Arc<Gate>) -> Queue {
        Queue {
            threads: threads.max(1),
            gate,
            tenants: Lines::new(CREDIT),
            functions: Vec::new(),
            put_off: BTreeMap::new(),
            next: 0,
        }
    }

    fn functions(&mut self, tenant: &Tenant) -> &mut Lines<Line> {
        while self.functions.len() <= tenant.index {
            self.functions.push(Lines::new(CREDIT));
        }
        &mut self.functions[tenant.index]
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Begins a slice of a guest that has a thread now, if nobody is ahead of it.
    pub(super) fn begin_if_first(&mut self, payer: &Payer) -> bool {
        let Payer { tenant, served, .. } = payer;
        let functions = self.functions(tenant);
        let is_first = functions.get(served).is_none()
            && functions.is_ahead(served)
            && self.tenants.is_ahead(&tenant.served);
        if is_first {
            self.functions(tenant).serve(served);
            self.tenants.serve(&tenant.served);
            self.begin();
        }
        is_first
    }

    /// Begins a slice.
    pub(super) fn begin(&mut self) {
        self.gate.begin();
    }

    /// Ends a slice, or gives one back that was granted.
    pub(super) fn end(&mut self) {
        self.gate.end();
    }

    /// Counts time of a function's guest.
    pub(super) fn charge(&mut self, payer: &Payer, nanos: u64) {
        let tenant = &payer.tenant;
        self.functions(tenant).charge(&payer.served, nanos);
        self.tenants.charge(&tenant.served, tenant.weighted(nanos));
    }

    /// Puts a runnable guest at the end of its function's line: its number there.
    pub(super) fn join(&mut self, payer: &Payer, ticket: &Arc<Ticket>) -> u64 {
        let (number, tenant) = (self.number(), &payer.tenant);
        let line = self.functions(tenant).line(&payer.served, VecDeque::new);
        line.push_back((number, ticket.clone()));
        self.tenants.line(&tenant.served, || tenant.index);
        self.gate.set_crowded(true);
        number
    }

    /// Takes a guest out of its line.
    pub(super) fn leave(&mut self, payer: &Payer, number: u64) {
        let Payer { tenant, served, .. } = payer;
        let functions = self.functions(tenant);
        let Some(line) = functions.get(served) else { return };
        if let Ok(place) = line.binary_search_by_key(&number, |(number, _)| *number) {
            line.remove(place);
        }
        if line.is_empty() {
            functions.remove(served);
        }
        if functions.is_empty() {
            self.tenants.remove(&tenant.served);
            self.gate.set_crowded(!self.tenants.is_empty());
        }
    }

    /// Grants the next slice, if a thread has none: the waker of its guest's task.
    pub(super) fn grant(&mut self) -> Option<Waker> {
        if self.gate.running() >= self.threads {
            return None;
        }
        let ticket = self.pop()?;
        self.begin();
        let mut task = ticket.lock();
        task.standing = Standing::Granted;
        Some(task.waker.clone())
    }

    /// Takes the first guest of the first function of the first tenant out of its line.
    fn pop(&mut self) -> Option<Arc<Ticket>> {
        let tenant = *self.tenants.first()?;
        let functions = &mut self.functions[tenant];
        let line = functions.first()?;
        let (_, ticket) = line.pop_front()?;
        if line.is_empty() {
            functions.remove_first();
        }
        if functions.is_empty() {
            self.tenants.remove_first();
            self.gate.set_crowded(!self.tenants.is_empty());
        }
        Some(ticket)
    }

    /// Notes a guest as put off: its number.
    pub(super) fn put_off(
        &mut self,
        ticket: &Arc<Ticket>,
        payer: &Arc<Payer>,
        place: Place,
    ) -> u64 {
        let (ticket, payer, client) = (ticket.clone(), payer.clone(), place.lease.payer());
        let number = self.number();
        self.put_off.insert(number, PutOff { ticket, payer, client, _place: place });
        number
    }

    /// Forgets a guest that was put off; it is to be dropped outside of the lock.
    pub(super) fn forget(&mut self, number: u64) -> Option<PutOff> {
        self.put_off.remove(&number)
    }

    /// Evicts the youngest guest of the client with most of them in a tenant, unless `client` has one there
    /// itself or there is no client with two: what it leaves, to be dropped outside of the lock, and
    /// its waker.
    pub(super) fn evict(
        &mut self,
        client: &Arc<Account>,
        tenant: &Tenant,
    ) -> Option<(PutOff, Waker)> {
        let guests = self.put_off.iter().rev();
        let guests = guests.filter(|(_, guest)| std::ptr::eq(&*guest.payer.tenant, tenant));
        let mut counts: HashMap<*const Account, usize> = HashMap::new();
        for (_, guest) in guests.clone() {
            *counts.entry(Arc::as_ptr(&guest.client)).or_default() += 1;
        }
        if counts.contains_key(&Arc::as_ptr(client)) {
            return None;
        }
        let (most, 2..) = counts.into_iter().max_by_key(|(_, count)| *count)? else { return None };
        let (number, _) = guests.clone().find(|(_, guest)| Arc::as_ptr(&guest.client) == most)?;
        let number = *number;
        let evicted = self.put_off.remove(&number)?;
        let mut task = evicted.ticket.lock();
        // One that runs learns of it at the end of its slice.
        task.is_evicted = true;
        let waker = task.waker.clone();
        drop(task);
        Some((evicted, waker))
    }

    /// Guests that were put off, by payer and standing.
    pub(super) fn counts(&self) -> HashMap<*const Payer, Counts> {
        let mut all: HashMap<*const Payer, Counts> = HashMap::new();
        for guest in self.put_off.values() {
            let counts = all.entry(Arc::as_ptr(&guest.payer)).or_default();
            match guest.ticket.lock().standing {
                Standing::InLine | Standing::Granted | Standing::Woken => counts.runnable += 1,
                Standing::Asleep => counts.waiting += 1,
                Standing::Running | Standing::RunningWoken | Standing::Left => {}
            }
        }
        all
    }
}
