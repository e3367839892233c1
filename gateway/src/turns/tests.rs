use super::*;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// tokio's part: notes that a task is to be polled.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task that wakes itself again until it has run `rounds` times, and is polled as tokio does.
struct Runner<'a> {
    task: Pin<Box<dyn Future<Output = ()> + 'a>>,
    flag: Arc<Flag>,
}

impl<'a> Runner<'a> {
    fn new(turns: &Arc<Turns>, payer: &Arc<Account>, rounds: usize, run: impl Fn() + 'a) -> Self {
        let mut left = rounds;
        let task = std::future::poll_fn(move |context| {
            run();
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        Runner { task: Box::pin(turns.of(payer, task)), flag }
    }

    /// Polls it if it was woken; whether it has ended.
    fn go(&mut self) -> bool {
        if !self.flag.0.swap(false, Ordering::Relaxed) {
            return false;
        }
        let waker = Waker::from(self.flag.clone());
        self.task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

/// Has all of them run to their ends.
fn finish(mut runners: Vec<Runner<'_>>) {
    for _ in 0..100_000 {
        runners.retain_mut(|runner| !runner.go());
        if runners.is_empty() {
            return;
        }
    }
    panic!("{} tasks were not woken", runners.len());
}

fn is_free(turns: &Turns) -> bool {
    let state = turns.lock();
    state.taken == 0 && state.lines.is_empty()
}

#[test]
fn a_task_that_is_woken_while_it_runs_runs_again() {
    let (turns, runs) = (Turns::new(1), AtomicUsize::new(0));
    let run = || {
        runs.fetch_add(1, Ordering::Relaxed);
    };
    let payers: [Arc<Account>; 3] = Default::default();
    finish(payers.iter().map(|payer| Runner::new(&turns, payer, 50, run)).collect());
    assert_eq!(runs.load(Ordering::Relaxed), 150);
    assert!(is_free(&turns));
}

#[test]
fn a_payer_with_many_tasks_is_in_its_own_way_only() {
    let (turns, order) = (Turns::new(1), Mutex::new(Vec::new()));
    let [many, few]: [Arc<Account>; 2] = Default::default();
    let note = |name| order.lock().unwrap().push(name);
    let mut attackers: Vec<_> =
        (0..100).map(|_| Runner::new(&turns, &many, 3, || note("many"))).collect();
    attackers.iter_mut().for_each(|runner| assert!(!runner.go()));
    let before = order.lock().unwrap().len();
    let mut client = Runner::new(&turns, &few, 3, || note("few"));
    assert!(!client.go());
    attackers.push(client);
    finish(attackers);
    let order = order.into_inner().unwrap();
    let last = order.iter().rposition(|name| *name == "few").unwrap();
    assert!(last - before < 20, "{} turns of the other came first", last - before - 2);
    assert!(is_free(&turns));
}

#[test]
fn payers_that_were_served_alike_go_on_in_the_order_in_which_they_came() {
    let (turns, order) = (Turns::new(1), Mutex::new(Vec::new()));
    let blocker: Arc<Account> = Arc::default();
    let mut running = Runner::new(&turns, &blocker, 2, || ());
    assert!(!running.go());
    let payers: Vec<Arc<Account>> = (0..50).map(|_| Arc::default()).collect();
    let runners = payers.iter().enumerate().map(|(number, payer)| {
        let order = &order;
        let mut runner = Runner::new(&turns, payer, 1, move || order.lock().unwrap().push(number));
        assert!(!runner.go());
        runner
    });
    let runners: Vec<_> = runners.collect();
    finish(std::iter::once(running).chain(runners).collect());
    assert_eq!(order.into_inner().unwrap(), Vec::from_iter(0..50));
}

#[test]
fn who_leaves_gives_up_its_turn_and_its_place() {
    let turns = Turns::new(1);
    let [one, two, three]: [Arc<Account>; 3] = Default::default();
    let mut running = Runner::new(&turns, &one, 9, || ());
    assert!(!running.go()); // granted anew, as nobody waits
    let mut waiting = Runner::new(&turns, &two, 1, || ());
    assert!(!waiting.go());
    let mut last = Runner::new(&turns, &three, 1, || ());
    assert!(!last.go());
    drop(waiting);
    assert!(!last.go(), "the turn is taken");
    drop(running);
    assert!(last.go());
    drop(last);
    assert!(is_free(&turns));
}

#[test]
fn a_panic_ends_a_turn() {
    let (turns, payer) = (Turns::new(1), Arc::default());
    let mut broken = Runner::new(&turns, &payer, 1, || panic!("a test's panic"));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| broken.go()));
    assert!(outcome.is_err());
    drop(broken);
    assert!(is_free(&turns));
    finish(vec![Runner::new(&turns, &payer, 1, || ())]);
}

#[test]
fn a_change_from_outside_has_the_task_run() {
    let (turns, payer, runs) = (Turns::new(1), Arc::default(), AtomicUsize::new(0));
    let task = std::future::poll_fn(|_| {
        runs.fetch_add(1, Ordering::Relaxed);
        Poll::<()>::Pending
    });
    let mut task = pin!(turns.of(&payer, task));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        assert!(task.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1, "nobody has woken it");
    let _change = task.as_mut().task();
    assert!(task.as_mut().poll(&mut context).is_pending());
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[test]
fn a_part_of_a_turn_wakes_other_tasks_but_not_its_own() {
    let (turns, payer, runs) = (Turns::new(2), Arc::default(), AtomicUsize::new(0));
    let (flag, others) = (Arc::new(Flag::default()), Mutex::new(None));
    let other = std::future::poll_fn(|context| {
        *others.lock().unwrap() = Some(context.waker().clone());
        Poll::<()>::Pending
    });
    let mut other = pin!(turns.of(&payer, other));
    let woken = Waker::from(flag.clone());
    assert!(other.as_mut().poll(&mut Context::from_waker(&woken)).is_pending());
    let task = std::future::poll_fn(|context| {
        if runs.fetch_add(1, Ordering::Relaxed) == 0 {
            before_going_on(|| {
                context.waker().wake_by_ref();
                others.lock().unwrap().as_ref().unwrap().wake_by_ref();
            });
        }
        Poll::<()>::Pending
    });
    let mut task = pin!(turns.of(&payer, task));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        assert!(task.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1, "it would have gone on");
    assert!(flag.0.load(Ordering::Relaxed));
    let _change = task.as_mut().task(); // outside of a turn
    assert!(task.as_mut().poll(&mut context).is_pending());
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}
