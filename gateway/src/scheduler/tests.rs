use super::*;
use crate::budget::{Budget, Holder, Holders, Kind, Unit};
use crate::tenants::TenantTerms;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

fn tenant(name: &str, index: usize, weight: u32) -> Arc<Tenant> {
    let terms = TenantTerms { weight, ..TenantTerms::new(name.parse().unwrap()) };
    Arc::new(Tenant::new(&terms, index))
}

fn payer(name: &str, tenant: &Arc<Tenant>) -> Arc<Payer> {
    Payer::new(name.parse().unwrap(), tenant)
}

fn terms<'a>(payer: &'a Arc<Payer>, client: &Arc<Account>, places: &Budget) -> Terms<'a> {
    let (account, share) = (client.clone(), 100);
    let holder = Holder { account, share, most_places: u64::MAX, kind: Kind::Client };
    let mut holders = Holders::default();
    holders.add(holder);
    let mut lease = places.lease(holders);
    lease.grow(1).unwrap();
    let place = Place { lease, _memory: payer.tenant.reserve(1).unwrap() };
    Terms { payer, place, deadline: None }
}

/// tokio's part: notes that a task is to be polled.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Runner<'a> {
    task: Pin<Box<dyn Future<Output = Result<(), Unfinished>> + 'a>>,
    flag: Arc<Flag>,
}

impl<'a> Runner<'a> {
    fn new(
        scheduler: &'a Scheduler,
        terms: Terms<'a>,
        work: impl Future<Output = ()> + 'a,
    ) -> Self {
        let task = Box::pin(scheduler.run(terms, work));
        Runner { task, flag: Arc::new(Flag(AtomicBool::new(true))) }
    }

    /// Polls it as long as it is woken.
    fn go(&mut self) -> Poll<Result<(), Unfinished>> {
        let waker = Waker::from(self.flag.clone());
        while self.flag.0.swap(false, Ordering::Relaxed) {
            let polled = self.task.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }

    /// Polls it once if it was woken.
    fn step(&mut self) -> bool {
        let waker = Waker::from(self.flag.clone());
        let woken = self.flag.0.swap(false, Ordering::Relaxed);
        woken && self.task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

/// Computes for this many slices of a quarter of a millisecond.
fn slices(number: usize, done: Rc<Cell<usize>>) -> impl Future<Output = ()> {
    let mut left = number;
    poll_fn(move |context| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(250) {
            std::hint::spin_loop();
        }
        done.set(done.get() + 1);
        left -= 1;
        context.waker().wake_by_ref();
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
}

fn places() -> Budget {
    Budget::new(Unit::Place, 1000)
}

/// Waits for ever, and says how many places are taken when it is dropped.
struct Waiting<'a>(&'a Budget, &'a Cell<u64>);

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.1.set(self.0.taken_units());
    }
}

#[test]
fn a_guest_that_is_given_up_is_gone_before_its_place_is_free() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let payer = payer("f", &tenant("a", 0, 100));
    let (client, taken) = (Arc::default(), Cell::new(0));
    let waiting = || Waiting(&places, &taken);
    let seated = scheduler.seat(terms(&payer, &client, &places), Box::pin(waiting()));
    let running = Box::pin(scheduler.run(terms(&payer, &client, &places), waiting()));
    for mut task in [Box::pin(seated) as Pin<Box<dyn Future<Output = _> + '_>>, running] {
        assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let before = places.taken_units();
        drop(task);
        assert_eq!((taken.get(), places.taken_units()), (before, before - 1));
    }
}

#[test]
fn a_guest_that_nobody_is_ahead_of_runs_at_once() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let payer = payer("f", &tenant("a", 0, 100));
    let ran = Rc::new(Cell::new(0));
    let mut runner =
        Runner::new(&scheduler, terms(&payer, &Arc::default(), &places), slices(1, ran.clone()));
    assert!(runner.step(), "one poll is enough");
    assert_eq!((ran.get(), payer.usage().requests, payer.usage().running), (1, 1, 0));
    assert!(payer.usage().processor >= 50_000, "other threads have the core too");
    drop(runner);
    assert_eq!(places.taken_units(), 0);
}

#[test]
fn tenants_get_shares_by_their_weights_and_functions_equal_ones() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let tenants = [tenant("a", 0, 100), tenant("b", 1, 300)];
    let payers = [payer("f", &tenants[0]), payer("g", &tenants[0]), payer("h", &tenants[1])];
    let done: [Rc<Cell<usize>>; 3] = Default::default();
    let mut runners = Vec::new();
    // One function has more guests than the others.
    for (of, count) in [(0, 8), (1, 2), (2, 3)] {
        for _ in 0..count {
            let terms = terms(&payers[of], &Arc::default(), &places);
            runners.push(Runner::new(&scheduler, terms, slices(10_000, done[of].clone())));
        }
    }
    while done.iter().map(|done| done.get()).sum::<usize>() < 800 {
        runners.iter_mut().for_each(|runner| _ = runner.step());
    }
    let [f, g, h] = done.each_ref().map(|done| done.get());
    assert!(f.abs_diff(100) < 40 && g.abs_diff(100) < 40 && h.abs_diff(600) < 80, "{f} {g} {h}");
}

#[test]
fn a_newcomer_is_not_behind_a_busy_tenant() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let (busy, new) = (payer("f", &tenant("a", 0, 100)), payer("f", &tenant("b", 1, 100)));
    let done = Rc::new(Cell::new(0));
    let mut all: Vec<_> = (0..50)
        .map(|_| {
            let terms = terms(&busy, &Arc::default(), &places);
            Runner::new(&scheduler, terms, slices(100, done.clone()))
        })
        .collect();
    for _ in 0..10 {
        all.iter_mut().for_each(|runner| _ = runner.step());
    }
    let ran = Rc::new(Cell::new(0));
    let mut newcomer =
        Runner::new(&scheduler, terms(&new, &Arc::default(), &places), slices(1, ran.clone()));
    assert!(newcomer.step(), "it runs on the thread that read it");
    // Not for ever: it pays for what it uses.
    let mut second =
        Runner::new(&scheduler, terms(&new, &Arc::default(), &places), slices(100, ran.clone()));
    let before = done.get();
    while !second.step() {
        all.iter_mut().for_each(|runner| _ = runner.step());
    }
    let other = done.get() - before;
    assert!(other.abs_diff(100) < 30, "{other} slices of the other meanwhile");
}

#[test]
fn a_guest_that_waits_is_in_no_line_and_is_not_polled_for_nothing() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let payer = payer("f", &tenant("a", 0, 100));
    let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let work = {
        let (polls, waker) = (polls.clone(), waker.clone());
        poll_fn(move |context: &mut Context<'_>| {
            polls.set(polls.get() + 1);
            waker.set(Some(context.waker().clone()));
            if polls.get() == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let mut runner = Runner::new(&scheduler, terms(&payer, &Arc::default(), &places), work);
    assert!(runner.go().is_pending());
    let waiting = Counts { runnable: 0, waiting: 1 };
    assert_eq!(scheduler.counts().get(&Arc::as_ptr(&payer)), Some(&waiting));
    // The connection has something else to do.
    runner.flag.0.store(true, Ordering::Relaxed);
    assert!(runner.go().is_pending() && polls.get() == 1);
    waker.take().unwrap().wake();
    assert_eq!(runner.go(), Poll::Ready(Ok(())));
    assert!(scheduler.counts().is_empty());
}

#[test]
fn who_leaves_gives_up_its_turn_and_its_place_in_line() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let payer = payer("f", &tenant("a", 0, 100));
    let done = Rc::new(Cell::new(0));
    let new = || {
        let terms = terms(&payer, &Arc::default(), &places);
        Runner::new(&scheduler, terms, slices(2, done.clone()))
    };
    let [mut first, mut second, mut third] = [new(), new(), new()];
    // The first one is granted its next slice, the second one is in line then, the third one at once.
    assert!(!first.step() && !second.step() && !third.step());
    assert_eq!((done.get(), places.taken_units()), (2, 3));
    drop(second);
    assert!(third.go().is_pending(), "the thread is granted");
    drop(first);
    assert!(third.go().is_ready());
    assert_eq!((done.get(), places.taken_units()), (4, 0));
}

#[test]
fn who_has_nothing_gets_the_place_of_the_youngest_of_the_one_with_most() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let (own, other) = (tenant("a", 0, 100), tenant("b", 1, 100));
    let payer = payer("f", &own);
    let [many, few, none]: [Arc<Account>; 3] = Default::default();
    let done = Rc::new(Cell::new(0));
    let new = |client: &Arc<Account>| {
        let mut runner =
            Runner::new(&scheduler, terms(&payer, client, &places), slices(5, done.clone()));
        assert!(!runner.step());
        runner
    };
    let mut all = [new(&many), new(&few), new(&many), new(&many)];
    assert!(!scheduler.make_room(&few, &own), "it has one");
    assert!(!scheduler.make_room(&none, &other), "not in another tenant's place");
    assert!(scheduler.make_room(&none, &own));
    assert_eq!(places.taken_units(), 3, "before its task knows");
    assert_eq!(all[3].go(), Poll::Ready(Err(Unfinished::MadeRoom)));
    assert!(scheduler.make_room(&none, &own));
    assert!(!scheduler.make_room(&none, &own), "all have one");
    let mut ended = [None; 3];
    for _ in 0..100 {
        for (runner, ended) in all.iter_mut().zip(&mut ended) {
            if ended.is_none()
                && let Poll::Ready(outcome) = runner.go()
            {
                *ended = Some(outcome);
            }
        }
    }
    assert_eq!(ended, [Some(Ok(())), Some(Ok(())), Some(Err(Unfinished::MadeRoom))]);
}

#[test]
fn a_panic_costs_its_own_request() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let payer = payer("f", &tenant("a", 0, 100));
    let new = |work: Pin<Box<dyn Future<Output = ()>>>| {
        Runner::new(&scheduler, terms(&payer, &Arc::default(), &places), work)
    };
    let mut broken = new(Box::pin(async { panic!("a test's panic") }));
    assert_eq!(broken.go(), Poll::Ready(Err(Unfinished::Panicked)));
    assert_eq!(new(Box::pin(async {})).go(), Poll::Ready(Ok(())));
}

#[tokio::test]
async fn a_guest_that_is_late_before_it_begins_never_does() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let payer = payer("f", &tenant("a", 0, 100));
    let done = Rc::new(Cell::new(0));
    let busy = || {
        let terms = terms(&payer, &Arc::default(), &places);
        let mut busy = Runner::new(&scheduler, terms, slices(9, done.clone()));
        assert!(!busy.step());
        busy
    };
    let _busy = [busy(), busy()]; // one is granted a slice, one is in line
    let mut late = terms(&payer, &Arc::default(), &places);
    late.deadline = Some(Instant::now() + Duration::from_millis(20));
    let began = Rc::new(Cell::new(0));
    let outcome = scheduler.run(late, slices(1, began.clone())).await;
    assert_eq!((outcome, began.get()), (Err(Unfinished::Late), 0));
}

#[test]
fn a_guest_that_is_late_in_line_goes_on_out_of_turn() {
    let (scheduler, places) = (Scheduler::new(1), places());
    let payer = payer("f", &tenant("a", 0, 100));
    let waker = Rc::new(Cell::new(None));
    let work = {
        let (waker, mut polls) = (waker.clone(), 0);
        poll_fn(move |context: &mut Context<'_>| {
            polls += 1;
            waker.set(Some(context.waker().clone()));
            context.waker().wake_by_ref(); // its slice is over
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let mut terms_of_it = terms(&payer, &Arc::default(), &places);
    terms_of_it.deadline = Some(Instant::now() + Duration::from_millis(20));
    let done = Rc::new(Cell::new(0));
    let mut granted =
        Runner::new(&scheduler, terms(&payer, &Arc::default(), &places), slices(9, done.clone()));
    assert!(!granted.step());
    let mut late = Runner::new(&scheduler, terms_of_it, work);
    assert!(late.go().is_pending());
    std::thread::sleep(Duration::from_millis(30));
    assert!(late.go().is_pending(), "nobody has woken it");
    waker.take().unwrap().wake();
    assert_eq!(late.go(), Poll::Ready(Ok(())));
    drop((late, granted));
    assert_eq!(places.taken_units(), 0);
}

#[test]
fn a_tenants_memory_is_reserved_and_comes_back() {
    let name = "a".parse().unwrap();
    let terms = TenantTerms { max_memory: Some(10), ..TenantTerms::new(name) };
    let tenant = Arc::new(Tenant::new(&terms, 0));
    let six = tenant.reserve(6).unwrap();
    assert!(tenant.reserve(5).is_none() && tenant.reserve(4).is_some());
    drop(six);
    assert!(tenant.reserve(10).is_some());
}
