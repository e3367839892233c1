//! Guests that are parked while they wait: they go on as they were, whoever has used their slots, and nothing of them
//! is left behind. All tests of services run parked guests, too.

use crate::service::{EXIT, service_on};
use bytes::Bytes;
use http::{Request, Response};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wfaas_function::{Body, ByteStream, Exchange, Function, InvokeError, Parking};
use wfaas_vm::{BoxError, Config, Error};

/// Parks guests at once, as long as there is room.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    most_bytes: u64,
    most_guests: u64,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    guests: AtomicU64,
    bytes: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Default for Account {
    fn default() -> Account {
        Account { most_bytes: 1 << 20, most_guests: u64::MAX, counts: Arc::default() }
    }
}

impl Account {
    /// Guests that are parked, bytes of their deltas, and how many were parked and refused.
    fn counts(&self) -> [u64; 4] {
        let Counts { guests, bytes, taken, refused } = &*self.counts;
        [guests, bytes, taken, refused].map(|count| count.load(Relaxed))
    }
}

impl Parking for Account {
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    fn take(&self, bytes: u64) -> bool {
        assert!(bytes <= self.most_bytes);
        let Counts { guests, bytes: all, taken, refused } = &*self.counts;
        if guests.load(Relaxed) >= self.most_guests {
            refused.fetch_add(1, Relaxed);
            return false;
        }
        guests.fetch_add(1, Relaxed);
        all.fetch_add(bytes, Relaxed);
        taken.fetch_add(1, Relaxed);
        true
    }

    fn give_back(&self, bytes: u64) {
        self.counts.guests.fetch_sub(1, Relaxed);
        self.counts.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// A body that is sent when the test wants it.
#[derive(Debug, Clone, Default)]
struct Sent(Arc<Mutex<(Option<Bytes>, Option<Waker>)>>);

impl Sent {
    fn send(&self, text: String) {
        let mut sent = self.0.lock().unwrap();
        sent.0 = Some(text.into());
        if let Some(waker) = sent.1.take() {
            waker.wake();
        }
    }
}

impl ByteStream for Sent {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut sent = self.0.lock().unwrap();
        match sent.0.take() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None => {
                sent.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Waits for its body; then for a clock; answers the body's four bytes.
const HANDLE: &str =
    "(call $consume (local.get $request) (i32.wrap_i64 (call $sent)) (i32.const 64))
    (local.set $reader (i32.load (i32.const 64))) (local.set $set (call $set-new))
    (i32.store (i32.const 200) (local.get $set))
    (drop (call $read (local.get $reader) (i32.const 128) (i32.const 4)))
    (call $join (local.get $reader) (local.get $set))
    (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4)))";

fn callback() -> String {
    format!(
        "(call $join (local.get $handle) (i32.const 0))
        (if (i32.eq (local.get $event) (i32.const 2)) (then
            (call $drop-reader (local.get $handle))
            (call $join (i32.shr_u (call $sleep (i64.const 20000000)) (i32.const 4))
                (i32.load (i32.const 200)))
            (return (i32.or (i32.const 2) (i32.shl (i32.load (i32.const 200)) (i32.const 4))))))
        (call $subtask-drop (local.get $handle))
        (call $say (i32.const 128) (i32.const 4)) {EXIT}"
    )
}

/// A function whose guests are parked by this account, in an engine of so many slots.
fn parking(account: &Account, max_slots: usize, handle: &str, callback: &str) -> Function {
    let config = Config { max_slots, ..Config::default() };
    let mut function = service_on(config, handle, callback);
    function.set_parking(Box::new(account.clone()));
    function
}

type Answering<'f> = Pin<Box<dyn Future<Output = Result<Response<Body>, InvokeError>> + Send + 'f>>;

/// A request that waits for its body.
fn waiting<'f>(function: &'f Function) -> (Answering<'f>, Sent) {
    waiting_until(function, None)
}

fn waiting_until<'f>(function: &'f Function, deadline: Option<Instant>) -> (Answering<'f>, Sent) {
    let sent = Sent::default();
    let body = Body::stream(Box::new(sent.clone()));
    let exchange = Exchange { deadline, ..Exchange::new(Request::new(body)) };
    let mut answering: Answering = Box::pin(function.handle_async(exchange));
    assert!(poll(&mut answering).is_pending(), "it waits");
    (answering, sent)
}

fn poll(answering: &mut Answering<'_>) -> Poll<Result<Response<Body>, InvokeError>> {
    answering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn text(answer: Result<Response<Body>, InvokeError>) -> String {
    let bytes = answer.expect("it answers").into_body().into_bytes();
    String::from_utf8(bytes).expect("UTF-8")
}

/// Polls until it is answered.
fn end(answering: &mut Answering<'_>) -> Result<Response<Body>, InvokeError> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if let Poll::Ready(answer) = poll(answering) {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it does not end");
}

#[test]
fn many_guests_wait_in_two_slots_and_each_goes_on_as_it_was() {
    let account = Account::default();
    let function = parking(&account, 2, HANDLE, &callback());
    let mut requests: Vec<_> = (0..50).map(|_| waiting(&function)).collect();
    let [guests, bytes, ..] = account.counts();
    assert_eq!(guests, 50);
    assert!((50 * 4096..50 * 9000).contains(&bytes), "{bytes} bytes");
    for (number, (_, sent)) in requests.iter().enumerate().rev() {
        sent.send(format!("r{number:03}"));
    }
    // They take turns: each is woken, waits for its clock, and is woken again.
    for (answering, _) in &mut requests {
        assert!(poll(answering).is_pending(), "it waits for its clock");
    }
    for (number, (mut answering, _)) in requests.into_iter().enumerate() {
        assert_eq!(text(end(&mut answering)), format!("r{number:03}"));
    }
    let [guests, bytes, taken, refused] = account.counts();
    assert_eq!((guests, bytes, refused), (0, 0, 0));
    assert!(taken >= 50, "each at least once, those twice whose clock was not due: {taken}");
}

#[test]
fn nothing_but_its_own_wait_wakes_a_parked_guest() {
    let account = Account::default();
    let function = parking(&account, 2, HANDLE, &callback());
    let (mut answering, sent) = waiting(&function);
    for _ in 0..100 {
        assert!(poll(&mut answering).is_pending());
    }
    assert_eq!(account.counts()[2], 1, "it was parked once");
    sent.send("mine".to_owned());
    assert_eq!(text(end(&mut answering)), "mine");
}

#[test]
fn a_parked_guest_that_is_given_up_leaves_nothing() {
    let account = Account::default();
    let function = parking(&account, 1, HANDLE, &callback());
    for _ in 0..5 {
        let (answering, sent) = waiting(&function);
        assert_eq!(account.counts()[0], 1);
        drop(answering);
        assert_eq!(account.counts()[..2], [0, 0]);
        sent.send("late".to_owned());
    }
    let (mut answering, sent) = waiting(&function);
    sent.send("next".to_owned());
    assert_eq!(text(end(&mut answering)), "next");
}

#[test]
fn a_guest_without_room_for_its_delta_keeps_its_slot() {
    let full = Account { most_guests: 0, ..Account::default() };
    let small = Account { most_bytes: 4096, ..Account::default() };
    for (account, refused) in [(full, 1), (small, 0)] {
        let function = parking(&account, 1, HANDLE, &callback());
        let (mut answering, sent) = waiting(&function);
        for _ in 0..10 {
            assert!(poll(&mut answering).is_pending());
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(account.counts(), [0, 0, 0, refused], "it was asked once");
        let other = function.handle(Exchange::default()).map(drop).unwrap_err();
        assert!(matches!(other, InvokeError::Vm(Error::NoSlot { .. })), "{other}");
        sent.send("kept".to_owned());
        assert_eq!(text(end(&mut answering)), "kept");
    }
}

#[test]
fn a_woken_guest_waits_for_a_slot() {
    let account = Account::default();
    let function = parking(&account, 1, HANDLE, &callback());
    let (mut parked, sent) = waiting(&function);
    // A faaslet of the same pool, as a request that does not wait.
    let other = function.pool().acquire(Default::default()).expect("a slot");
    sent.send("mine".to_owned());
    for _ in 0..20 {
        assert!(poll(&mut parked).is_pending(), "there is no slot");
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(other);
    assert_eq!(text(end(&mut parked)), "mine");
}

#[test]
fn a_woken_guest_that_has_no_slot_until_its_time_is_over_is_late() {
    let account = Account::default();
    let function = parking(&account, 1, HANDLE, &callback());
    let deadline = Instant::now() + Duration::from_millis(200);
    let (mut parked, sent) = waiting_until(&function, Some(deadline));
    let other = function.pool().acquire(Default::default()).expect("a slot");
    sent.send("mine".to_owned());
    let ended = end(&mut parked).map(drop);
    assert!(matches!(ended, Err(InvokeError::Deadline(_))), "{ended:?}");
    drop((other, parked));
    assert_eq!(account.counts()[..2], [0, 0]);
}

#[test]
fn a_parked_guest_ends_by_its_deadline_and_by_its_trap() {
    let account = Account::default();
    let function = parking(&account, 1, HANDLE, "unreachable");
    let (mut answering, sent) = waiting(&function);
    sent.send("trap".to_owned());
    let ended = end(&mut answering).map(drop);
    assert!(matches!(ended, Err(InvokeError::Trap(_))), "{ended:?}");

    let sleeps = "(local.set $set (call $set-new))
        (call $join (i32.shr_u (call $sleep (i64.const -1)) (i32.const 4)) (local.get $set))
        (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4)))";
    let function = parking(&account, 1, sleeps, "(loop (br 0)) unreachable");
    let deadline = Some(Instant::now() + Duration::from_millis(500));
    let exchange = Exchange { deadline, ..Exchange::default() };
    let mut answering: Answering = Box::pin(function.handle_async(exchange));
    assert!(poll(&mut answering).is_pending());
    assert_eq!(account.counts()[0], 1);
    let ended = end(&mut answering).map(drop);
    assert!(matches!(ended, Err(InvokeError::Deadline(_))), "{ended:?}");
    assert_eq!(account.counts()[..2], [0, 0]);
}
