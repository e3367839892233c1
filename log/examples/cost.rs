//! Nanoseconds that the record of a request costs the thread that makes it: beside the formatter of
//! `tracing-subscriber`, which formats and writes on that thread.
//!
//! `cargo run --release -p wfaas-log --example cost 2>log.txt`, or only one of them, for callgrind:
//! `cost queue` or `cost formatter`.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tracing::Subscriber;
use tracing::subscriber::with_default;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;

/// Records in a round: with a pause behind each, none is dropped.
const RECORDS: u32 = 2000;
const ROUNDS: usize = 15;

fn main() {
    let which = std::env::args().nth(1);
    let wants = |name| which.as_deref().is_none_or(|which| which == name);
    if wants("formatter") {
        let formatter = tracing_subscriber::fmt().with_env_filter(filter()).with_ansi(false);
        println!("formatter {:7.0}", median(formatter.with_writer(std::io::stderr).finish()));
    }
    if wants("queue") {
        let sink = std::io::stderr().as_fd().try_clone_to_owned().expect("a descriptor");
        let log = wfaas_log::Log::start(File::from(sink), false).expect("a thread");
        let subscriber = tracing_subscriber::registry().with(filter()).with(log.layer());
        println!("queue     {:7.0}", median(subscriber));
        assert!(log.flush(Duration::from_secs(10)));
    }
}

fn filter() -> EnvFilter {
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy("")
}

/// Nanoseconds a record: the median of the rounds.
fn median(subscriber: impl Subscriber + Send + Sync + 'static) -> f64 {
    with_default(subscriber, || {
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
        rounds.sort_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    })
}

fn round() -> f64 {
    let start = Instant::now();
    for number in 0..RECORDS {
        let (request, path) = ("0badcafe-00000042", "/hello");
        let micros = u64::from(number);
        tracing::info!(request, method = "GET", path, status = 200u16, micros, "answered");
    }
    let took = start.elapsed();
    std::thread::sleep(Duration::from_millis(20));
    took.as_nanos() as f64 / f64::from(RECORDS)
}
