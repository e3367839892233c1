//! A host that answers each request in a pristine guest, on any thread and with a deadline.

use std::time::{Duration, Instant};
use wfaas_vm::{BoxError, Caller, Config, Engine, Linker, Module, Pool, PoolFunc};
use wfaas_wasi::{HasWasi, Output, Wasi};

/// The data of a guest's store: one request.
#[derive(Default)]
struct Request {
    user: String,
    wasi: Wasi,
}

impl HasWasi for Request {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

/// The guest's import: copies the user's name to `at`, at most `room` bytes; the length.
fn user(mut caller: Caller<'_, Request>, at: u32, room: u32) -> Result<u32, BoxError> {
    let memory = caller.memory().ok_or("the guest exports no memory")?;
    let (bytes, request) = caller.memory_and_data(memory);
    let (at, len) = (at as usize, request.user.len().min(room as usize));
    let target = bytes.get_mut(at..at + len).ok_or("the name does not fit into the memory")?;
    target.copy_from_slice(&request.user.as_bytes()[..len]);
    Ok(len as u32)
}

type Handle = PoolFunc<(), ()>;

/// Answers a request: the guest's output.
fn answer(pool: &Pool<Request>, handle: &Handle, user: &str) -> Result<String, BoxError> {
    let wasi = Wasi::builder().stdout(Output::capture(4096)).stderr(Output::log(4096)).build()?;
    let mut faaslet = pool.acquire(Request { user: user.to_owned(), wasi })?;
    faaslet.store().set_deadline(Some(Instant::now() + Duration::from_millis(500)));
    faaslet.store().set_memory_limit(Some(1 << 20));
    faaslet.call(handle, ())?;
    Ok(String::from_utf8(faaslet.release().wasi.take_captured())?)
}

fn main() -> Result<(), BoxError> {
    let guest = include_bytes!("guest.wat"); // or the bytes of a .wasm
    let built = wfaas_build::build(guest, &Default::default(), &Default::default(), &())?;
    let engine = Engine::new(Config::default())?;
    let mut linker = Linker::<Request>::new(&engine);
    wfaas_wasi::add_to_linker(&mut linker);
    linker.func_wrap("host", "user", user);
    let pool = &Pool::new(&linker, &Module::from_bytes(&engine, &built.artifact)?)?;
    let handle = &pool.typed_func::<(), ()>("handle")?;
    std::thread::scope(|scope| {
        let start = |user| scope.spawn(move || answer(pool, handle, user));
        let requests = ["Ada", "Grace", ""].map(start);
        for request in requests {
            let answer = request.join().expect("no panic");
            print!("{}", answer.unwrap_or_else(|error| format!("failed: {error}\n")));
        }
    });
    Ok(())
}
