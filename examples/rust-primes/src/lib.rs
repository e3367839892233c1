//! A reactor whose work is done before the first request: `wizer.initialize` runs at build time and
//! leaves a table of primes in the image, so that a request is one look-up.
//!
//! The body is a decimal number n; the answer is the n-th prime, counted from 0.

use std::sync::OnceLock;

/// Numbers up to here are sieved: there are 78 498 primes below a million.
const LIMIT: usize = 1_000_000;

static PRIMES: OnceLock<Vec<u32>> = OnceLock::new();

/// Fills the table. Called once, at build time.
#[unsafe(export_name = "wizer.initialize")]
pub extern "C" fn initialize() {
    let primes = PRIMES.get_or_init(sieve);
    println!("rust-primes: {} primes are ready", primes.len());
}

/// Room for a request of `len` bytes.
#[unsafe(no_mangle)]
pub extern "C" fn faas_alloc(len: usize) -> *mut u8 {
    Vec::leak(vec![0; len]).as_mut_ptr()
}

/// Answers the request of `len` bytes at `ptr`, which came from [`faas_alloc`].
///
/// # Safety
/// `ptr` and `len` are those of one call of [`faas_alloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faas_handle(ptr: *const u8, len: usize) -> u64 {
    // SAFETY: the caller's promise; an instance serves one request, so nothing else writes there.
    let request = unsafe { std::slice::from_raw_parts(ptr, len) };
    let answer = answer(request).leak();
    (answer.as_ptr() as u64) << 32 | answer.len() as u64
}

fn answer(request: &[u8]) -> String {
    let number = str::from_utf8(request).ok().and_then(|text| text.trim().parse::<usize>().ok());
    let Some(index) = number else {
        return "please send a number\n".to_owned();
    };
    match PRIMES.get_or_init(sieve).get(index) {
        Some(prime) => format!("{prime}\n"),
        None => format!("only primes below {LIMIT} are known\n"),
    }
}

fn sieve() -> Vec<u32> {
    let mut composite = vec![false; LIMIT];
    let mut primes = Vec::new();
    for number in 2..LIMIT {
        if composite[number] {
            continue;
        }
        primes.push(number as u32);
        // A square past the limit, or past what 32 bits hold, has no multiples to strike out.
        let square = number.checked_mul(number).unwrap_or(LIMIT);
        for multiple in (square..LIMIT).step_by(number) {
            composite[multiple] = true;
        }
    }
    primes
}
