//! rhai: an interpreter runs a script that computes primes, strings and maps.

use programs::measure;
use rhai::Engine;

const SCRIPT: &str = r#"
    let limit = 4000;
    let sieve = [];
    sieve.pad(limit, true);
    let sum = 0;
    for p in 2..limit {
        if !sieve[p] { continue; }
        sum += p;
        let i = p * p;
        while i < limit { sieve[i] = false; i += p; }
    }
    fn fib(n) { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }
    let words = #{};
    for i in 0..400 {
        let key = `w${i % 37}`;
        words[key] = if key in words { words[key] + i } else { i };
    }
    sum + fib(16) + words.values().reduce(|a, b| (a ?? 0) + b)
"#;

fn main() {
    let mut engine = Engine::new();
    engine.set_max_expr_depths(0, 0);
    let script = engine.compile(SCRIPT).expect("a good script");
    measure(|| engine.eval_ast::<i64>(&script).expect("no error").cast_unsigned());
}
