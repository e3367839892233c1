//! The program of docs/embedding.md: the page has it in pieces, here it is compiled and run.

// The page begins here.

use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wfaas_build::{Options, Spec, build};
use wfaas_vm::{BoxError, Caller, Config, Engine, ExternRef, Func};
use wfaas_vm::{Linker, Module, Pool, PoolFunc, Store, TrapCode};
use wfaas_wasi::{Environment, Exit, HasWasi, Input, Output, Wasi};

const GUEST: &str = r#"(module
    (import "shop" "price" (func $price (param $item i32) (result i64)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\05\00\00\00") ;; a WASI iovec: 5 bytes at address 16
    (data (i32.const 16) "sold\n")
    (func (export "open") (i64.store (i32.const 64) (call $price (i32.const 1))))
    (func (export "sell") (param $count i32) (result i64)
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i64.mul (i64.extend_i32_u (local.get $count)) (i64.load (i32.const 64))))
    (func (export "grow") (param $pages i32) (result i32) (memory.grow (local.get $pages)))
    (func (export "spin") (loop $again (br $again)))
    (func $deep (result i64) (i64.load (i32.const -8)))
    (func (export "crash") (result i64) (i64.add (call $deep) (i64.const 1)))
    (func (export "ask") (param $item i32) (result i64) (call $price (local.get $item)))
    (func (export "exit") (param $code i32) (call $exit (local.get $code))))"#;

fn artifact(wat_or_wasm: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let built = build(wat_or_wasm, &Spec::default(), &Options::default(), &())?;
    Ok(built.artifact)
}

#[derive(Default)]
struct Request {
    wasi: Wasi,
    prices: Arc<Vec<i64>>,
    asked: usize,
}

impl HasWasi for Request {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

fn price(mut caller: Caller<'_, Request>, item: u32) -> Result<i64, BoxError> {
    let request = caller.data_mut();
    request.asked += 1;
    let price = request.prices.get(item as usize);
    Ok(*price.ok_or_else(|| format!("there is no item {item}"))?)
}

fn linker(engine: &Engine) -> Linker<Request> {
    let mut linker = Linker::new(engine);
    wfaas_wasi::add_to_linker(&mut linker);
    linker.func_wrap("shop", "price", price);
    linker
}

fn opened(linker: &Linker<Request>, module: &Module) -> Result<Module, Box<dyn Error>> {
    let prices = Arc::new(vec![5, 30]);
    let mut store = Store::new(linker.engine(), Request { prices, ..Request::default() });
    let instance = linker.instantiate(&mut store, module)?;
    instance.get_typed_func::<(), ()>(&mut store, "open")?.call(&mut store, ())?;
    assert_eq!(store.data().asked, 1);

    let proto = instance.capture(&mut store)?.to_proto(module); // bytes that a file can keep
    Ok(module.with_proto(&proto)?)
}

struct Shop {
    pool: Pool<Request>,
    sell: PoolFunc<i32, i64>,
    environment: Arc<Environment>,
}

impl Shop {
    fn new(linker: &Linker<Request>, module: &Module) -> Result<Shop, Box<dyn Error>> {
        let pool = Pool::new(linker, module)?;
        let sell = pool.typed_func("sell")?;
        let environment = Arc::new(Environment::new(vec!["shop".into()], [])?);
        Ok(Shop { pool, sell, environment })
    }

    fn sell(&self, count: i32) -> Result<(i64, Vec<u8>), wfaas_vm::Error> {
        let (environment, output) = (self.environment.clone(), Output::capture(4096));
        let wasi = Wasi::new(environment, Input::bytes("stdin"), output, Output::log(4096));
        let mut faaslet = self.pool.acquire(Request { wasi, ..Request::default() })?;
        faaslet.store().set_deadline(Some(Instant::now() + Duration::from_secs(1)));
        faaslet.store().set_memory_limit(Some(16 << 20));
        let total = faaslet.call(&self.sell, count)?;
        Ok((total, faaslet.release().wasi.take_captured()))
    }
}

fn forks(linker: &Linker<Request>, pool: &Pool<Request>) -> Result<(), Box<dyn Error>> {
    let grow = pool.typed_func::<i32, i32>("grow")?; // returns the pages before
    let mut faaslet = pool.acquire(Request::default())?;
    assert_eq!(faaslet.call(&grow, 1)?, 1);

    let mut fork = faaslet.fork_with(Request::default())?;
    assert_eq!(fork.call(&grow, 1)?, 2);
    assert_eq!(faaslet.call(&grow, 0)?, 2, "it does not see the fork's page");

    let snapshot = faaslet.instance().snapshot(faaslet.store(), 1 << 20)?;
    let mut later = pool.acquire_from(&snapshot, Request::default())?;
    assert_eq!(later.call(&grow, 0)?, 2);

    let often = Pool::from_snapshot(linker, &snapshot)?; // of the same code: `grow` is its function too
    assert_eq!(often.acquire(Request::default())?.call(&grow, 0)?, 2);

    // Nobody calls it for a while: its slot is others' meanwhile.
    let mut parked = faaslet.park(1 << 20)?;
    drop(faaslet);
    assert_eq!(pool.unpark(&mut parked)?.call(&grow, 0)?, 2);
    Ok(())
}

fn ends(pool: &Pool<Request>) -> Result<(), Box<dyn Error>> {
    // A trap has a code and the guest's frames, innermost first. Its text has both.
    let crash = pool.typed_func::<(), i64>("crash")?;
    let error = pool.acquire(Request::default())?.call(&crash, ()).unwrap_err();
    let trap = error.trap().ok_or("another error")?;
    assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);
    let names: Vec<_> = trap.frames().into_iter().map(|frame| frame.func_name).collect();
    assert_eq!(names, [Some("deep".into()), Some("crash".into())]);
    assert!(error.to_string().starts_with("trap: out of bounds memory access\nguest backtrace:"));

    // A deadline, and a cancellation from another thread, are traps too.
    let spin = pool.typed_func::<(), ()>("spin")?;
    let mut faaslet = pool.acquire(Request::default())?;
    faaslet.store().set_deadline(Some(Instant::now() + Duration::from_millis(20)));
    let error = faaslet.call(&spin, ()).unwrap_err();
    assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::DeadlineExceeded));
    faaslet.store().set_deadline(None);
    let handle = faaslet.store().cancel_handle();
    std::thread::spawn(move || handle.cancel());
    let error = faaslet.call(&spin, ()).unwrap_err();
    assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::Cancelled));

    // Memory beyond the limit is refused: that is the guest's to see, no error.
    let grow = pool.typed_func::<i32, i32>("grow")?;
    faaslet.store().set_memory_limit(Some(1 << 20));
    assert_eq!(faaslet.call(&grow, 16)?, -1);
    assert_eq!(faaslet.call(&grow, 15)?, 1);

    // A host function's error ends the call and comes back as it is.
    let ask = pool.typed_func::<i32, i64>("ask")?;
    match faaslet.call(&ask, 7) {
        Err(wfaas_vm::Error::Host(error)) => {
            assert_eq!(error.source.to_string(), "there is no item 7");
            assert_eq!(error.frames()[0].func_name.as_deref(), Some("ask"));
        }
        other => panic!("{other:?}"),
    }

    // So does the exit of a WASI program: with code 0, a success that no function returns.
    let exit = pool.typed_func::<u32, ()>("exit")?;
    let error = faaslet.call(&exit, 3).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Exit { code: 3 }));
    Ok(())
}

const SORTER: &str = r#"(module
    (import "host" "fold" (func $fold (param funcref externref) (result i64)))
    (elem declare func $weigh)
    (func $weigh (param $n i64) (result i64) (i64.mul (local.get $n) (i64.const 10)))
    (func (export "run") (param externref) (result i64)
        (call $fold (ref.func $weigh) (local.get 0)))
    (func (export "sum") (param v128 v128) (result v128)
        (i32x4.add (local.get 0) (local.get 1))))"#;

fn fold(
    mut caller: Caller<'_, ()>,
    weigh: Option<Func>,
    numbers: Option<ExternRef>,
) -> Result<i64, BoxError> {
    let weigh = weigh.ok_or("no function")?.typed::<i64, i64>(&mut caller)?;
    let numbers = numbers.ok_or("no numbers")?;
    let numbers = numbers.downcast_ref::<Vec<i64>>().ok_or("not numbers")?;
    let mut sum = 0;
    for number in numbers {
        sum += weigh.call(&mut caller, *number)?;
    }
    Ok(sum)
}

fn values(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let module = Module::from_bytes(engine, &artifact(SORTER.as_bytes())?)?;
    let mut linker = Linker::<()>::new(engine);
    linker.func_wrap("host", "fold", fold);
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &module)?;

    let run = instance.get_typed_func::<Option<ExternRef>, i64>(&mut store, "run")?;
    let numbers = ExternRef::new(vec![1i64, 2, 3]);
    assert_eq!(run.call(&mut store, Some(numbers))?, 60);

    let sum = instance.get_typed_func::<(u128, u128), u128>(&mut store, "sum")?;
    assert_eq!(sum.call(&mut store, (1 << 96 | 2, 3 << 96 | 4))?, 4 << 96 | 6);
    Ok(())
}

const WAITER: &str = r#"(module
    (import "host" "fetch" (func $fetch (param i32) (result i64)))
    (func (export "double") (param i64) (result i64) (i64.mul (local.get 0) (i64.const 2)))
    (func (export "total") (param $count i32) (result i64) (local $sum i64)
        (loop $again
            (local.set $sum (i64.add (local.get $sum) (call $fetch (local.get $count))))
            (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
        (local.get $sum)))"#;

/// The numbers that come from elsewhere: each call waits for the next one.
type Numbers = Arc<Mutex<Receiver>>;

#[derive(Default)]
struct Receiver {
    numbers: VecDeque<i64>,
    waker: Option<Waker>,
}

async fn fetch(mut caller: Caller<'_, Numbers>, item: i32) -> Result<i64, BoxError> {
    let numbers = caller.data().clone();
    let number = poll_fn(|context| {
        let mut receiver = numbers.lock().expect("no panic");
        receiver.waker = Some(context.waker().clone());
        receiver.numbers.pop_front().map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    // The guest is suspended, and its functions can be called.
    let double = caller.get_export("double").and_then(|export| export.into_func());
    let double = double.ok_or("no function")?.typed::<i64, i64>(&mut caller)?;
    Ok(double.call_async(&mut caller, number).await? + i64::from(item))
}

fn waiting(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let module = Module::from_bytes(engine, &artifact(WAITER.as_bytes())?)?;
    let mut linker = Linker::<Numbers>::new(engine);
    linker.func_wrap_async("host", "fetch", |caller: Caller<'_, Numbers>, item: i32| {
        Box::new(fetch(caller, item))
    });
    let pool = Pool::new(&linker, &module)?;
    let total = pool.typed_func::<i32, i64>("total")?;

    let numbers = Numbers::default();
    let mut faaslet = pool.acquire(numbers.clone())?;
    // A synchronous call must not wait.
    let error = faaslet.call(&total, 2).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(wfaas_vm::Error::NeedsAsync)));

    // Any executor polls the call; here it is done by hand, on two threads.
    let mut call = Box::pin(faaslet.call_async(&total, 2));
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    numbers.lock().expect("no panic").numbers.extend([10, 100]);
    let result = std::thread::scope(|scope| {
        let elsewhere = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        scope.spawn(elsewhere).join().expect("no panic")
    });
    assert!(matches!(result, Poll::Ready(Ok(223))));
    drop(call);

    // Dropping a call that waits ends it.
    let mut call = Box::pin(faaslet.call_async(&total, 1));
    assert!(call.as_mut().poll(&mut context).is_pending());
    drop(call);
    Ok(())
}

const SLEEPER: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\01") (data (i32.const 24) "\40\42\0f") ;; 1 ms on the monotonic clock
    (func (export "sleep") (result i32)
        (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))"#;

fn sleeping(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let module = Module::from_bytes(engine, &artifact(SLEEPER.as_bytes())?)?;
    let mut linker = Linker::<Request>::new(engine);
    wfaas_wasi::add_to_linker_async(&mut linker);
    let pool = Pool::new(&linker, &module)?;
    let sleep = pool.typed_func::<(), i32>("sleep")?;
    let mut faaslet = pool.acquire(Request::default())?;
    let mut call = Box::pin(faaslet.call_async(&sleep, ()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending(), "it sleeps, and we do not");
    let errno = loop {
        match call.as_mut().poll(&mut context) {
            Poll::Ready(errno) => break errno?,
            Poll::Pending => std::thread::yield_now(), // an executor would be woken
        }
    };
    assert_eq!(errno, 0);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::new(Config::default())?;
    let linker = linker(&engine);
    let module = Module::from_bytes(&engine, &artifact(GUEST.as_bytes())?)?;
    let shop = &Shop::new(&linker, &opened(&linker, &module)?)?;
    std::thread::scope(|scope| {
        let buyers = [1, 2, 3].map(|count| scope.spawn(move || shop.sell(count)));
        let answers = buyers.map(|buyer| buyer.join().expect("no panic").expect("an answer"));
        assert_eq!(answers.each_ref().map(|(total, _)| *total), [30, 60, 90]);
        assert!(answers.iter().all(|(_, output)| output == b"sold\n"));
    });
    forks(&linker, &shop.pool)?;
    ends(&shop.pool)?;
    values(&engine)?;
    waiting(&engine)?;
    sleeping(&engine)
}

// The page ends here.

#[test]
fn the_program_runs() {
    main().unwrap();
}

#[test]
fn the_page_has_this_program() {
    let source = include_str!("embedding.rs");
    let source = source.split("// The page begins here.\n\n").nth(1).unwrap();
    let program = source.split("\n// The page ends here.").next().unwrap();
    let page = include_str!("../../docs/embedding.md");
    let blocks = page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks = blocks.collect::<Vec<_>>().join("\n");
    for (page, program) in blocks.lines().zip(program.lines()) {
        assert_eq!(page, program, "left: the page");
    }
    assert_eq!(blocks.lines().count(), program.lines().count());
}
