//! The first request on a new slot, with and without a profile: microseconds, medians.
//!
//! ```text
//! cargo run --release -p wfaas-vm --example first_request
//! ```
#![expect(clippy::print_stdout)] // it is what the program is for

use std::time::Instant;
use wfaas_abi::artifact::{replace_image, set_profile};
use wfaas_vm::{Config, Engine, Error, Faaslet, Linker, Module, Pool, Store, Tracking};

const SLOTS: usize = 201;

/// Writes to this many pages of an image of 8 MiB, each third one, then grows memory if told so.
const GUEST: &str = r#"(module (memory 128 200)
    (data (i32.const 0) "\01") (data (i32.const 4194304) "\01") (data (i32.const 8388600) "\01")
    (func (export "run") (param $pages i32) (param $grow i32) (result i32)
        (drop (memory.grow (local.get $grow)))
        (loop $next
            (i32.store (i32.mul (local.get $pages) (i32.const 12288)) (i32.const 1))
            (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
            (br_if $next (local.get $pages)))
        (memory.size)))"#;

fn pool(tracking: Tracking, artifact: &[u8]) -> Result<Pool<()>, Error> {
    let engine = Engine::new(Config { tracking, idle_slots: 0, ..Config::default() })?;
    let module = Module::from_bytes(&engine, artifact)?;
    Pool::new(&Linker::new(&engine), &module)
}

fn call(faaslet: &mut Faaslet<()>, pages: i32, grow: i32) -> Result<i32, Error> {
    let instance = faaslet.instance();
    let run = instance.get_typed_func::<(i32, i32), i32>(faaslet.store(), "run")?;
    run.call(faaslet.store(), (pages, grow))
}

fn initialised() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let engine = Engine::new(Config::default())?;
    let compiled = wfaas_compiler::compile(GUEST.as_bytes(), &Default::default())?;
    let module = Module::from_bytes(&engine, &compiled.artifact)?;
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module)?;
    let capture = instance.capture(&mut store)?;
    Ok(replace_image(&module.artifact(), &capture.image, &capture.memory_pages)?)
}

/// Medians of: making a slot, its first request, and both.
fn measure(pool: &Pool<()>, pages: i32, grow: i32) -> Result<[f64; 3], Error> {
    let mut live = Vec::new();
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..SLOTS {
        let start = Instant::now();
        let mut faaslet = pool.acquire(())?;
        let made = start.elapsed();
        call(&mut faaslet, pages, grow)?;
        let done = start.elapsed();
        for (list, time) in times.iter_mut().zip([made, done - made, done]) {
            list.push(time.as_nanos() as f64 / 1000.0);
        }
        live.push(faaslet);
    }
    Ok(times.map(|mut list| {
        list.sort_by(f64::total_cmp);
        list[SLOTS / 2]
    }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plain = initialised()?;
    println!("{:24} {:>10} {:>10} {:>10}", "microseconds", "slot", "request", "both");
    for (pages, grow) in [(1, 0), (8, 0), (64, 0), (512, 0), (8, 16)] {
        let recording = pool(Tracking::Record, &plain)?;
        let mut faaslet = recording.acquire(())?;
        call(&mut faaslet, pages, grow)?;
        let instance = faaslet.instance();
        let profile = instance.recorded(faaslet.store())?.ok_or("it does not record")?;
        let warm = set_profile(&recording.module().artifact(), &profile)?;
        for (name, tracking, artifact) in [
            ("pages", Tracking::Pages, &plain),
            ("pages, profile", Tracking::Pages, &warm),
            ("granules", Tracking::Granules, &plain),
            ("granules, profile", Tracking::Granules, &warm),
        ] {
            let [slot, request, both] = measure(&pool(tracking, artifact)?, pages, grow)?;
            let what = format!("{pages} pages, {name}");
            let grown = if grow > 0 { ", grown" } else { "" };
            println!("{:32} {slot:10.1} {request:10.1} {both:10.1}", what + grown);
        }
    }
    Ok(())
}
