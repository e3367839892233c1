//! Guests that call the interfaces of components at random: wild pointers, lengths and handles, drops in any order.
//!
//! The guest is an interpreter: the body of its request is a list of calls. Nothing panics, every request ends, and the
//! next one is answered as the first one was, with the same handles.
//!
//! `just fuzz-components` runs the long form, and `SEED=n` repeats what it has found; the fuzz target `wild` drives the
//! same guests.

use crate::fused::STUB;
use crate::handler::handler;
use crate::service::{IMPORTS, service};
use http::Request;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wfaas_function::{Body, Exchange, Function, InvokeError, Spec};

/// Scripts that are tried, and the time after which there are no more of them.
const SEEDS: u64 = 200;
const TIME: Duration = Duration::from_secs(10);

/// Longest time of a wild guest, which may wait for what never comes.
const PATIENCE: Duration = Duration::from_millis(100);

/// Numbers of a call: its function, and most arguments. An argument is a tag and a number.
const ARGUMENTS: usize = 8;
const CALL_BYTES: usize = 4 + 8 * ARGUMENTS;

/// The first of the latest 16 results, which are kept.
const KEPT_AT: u32 = 1024;

/// Tags of arguments: the number itself, the number at that address, a result that was kept.
const NUMBER: u32 = 0;
const LOADED: u32 = 1;
const RESULT: u32 = 2;

/// A list of calls.
#[derive(Default)]
struct Script(Vec<u8>);

impl Script {
    fn call(&mut self, function: usize, arguments: &[(u32, u32)]) {
        let mut bytes = (function as u32).to_le_bytes().to_vec();
        for (tag, number) in arguments {
            bytes.extend([tag.to_le_bytes(), number.to_le_bytes()].concat());
        }
        bytes.resize(CALL_BYTES, 0);
        self.0.extend(bytes);
    }
}

/// The interpreter as text: runs the calls from `$at` to `$until`. Functions have numbers, and core types. A result of
/// 64 bits is a request of the host's where it `stubs`.
fn interpreter(functions: &[(&str, &str)], stubs: bool) -> String {
    let mut cases = String::new();
    for (id, core) in functions {
        let argument = |(place, ty): (usize, &str)| {
            let argument = format!("(call $argument (local.get $from) (i32.const {place}))");
            if ty == "i64" { format!("(i64.extend_i32_u {argument})") } else { argument }
        };
        let arguments: String = params(core).into_iter().enumerate().map(argument).collect();
        let call = format!("(call ${id} {arguments})");
        let case = match core.rsplit_once("(result ") {
            Some((_, "i32)")) => format!("(call $keep {call})"),
            Some(_) if stubs && *id != "next" => format!("{call} {STUB}"),
            Some(_) => format!(
                "(local.set $request {call}) (call $keep (i32.wrap_i64 (local.get $request)))
                (call $keep (i32.wrap_i64 (i64.shr_u (local.get $request) (i64.const 32))))"
            ),
            None => call,
        };
        cases += &format!(") {case} (br $calls)");
    }
    let labels: String = (0..functions.len()).map(|label| format!("{label} ")).collect();
    let blocks = "(block ".repeat(functions.len());
    let count = functions.len();
    format!(
        "{HELPERS} (func $interpret (param $at i32) (param $until i32)
            (local $from i32) (local $function i32) (local $request i64)
            (block $end (loop $calls
                (local.set $from (local.get $at))
                (local.set $at (i32.add (local.get $at) (i32.const {CALL_BYTES})))
                (br_if $end (i32.gt_u (local.get $at) (local.get $until)))
                (local.set $function
                    (i32.rem_u (i32.load16_u (local.get $from)) (i32.const {count})))
                {blocks} (br_table {labels} (local.get $function)) {cases})))"
    )
}

/// The types of a core function's parameters.
fn params(core: &str) -> Vec<&str> {
    let list = core.strip_prefix("(param ").and_then(|rest| rest.split_once(')'));
    list.map(|(list, _)| list.split(' ').collect()).unwrap_or_default()
}

/// Functions of the interpreter.
const HELPERS: &str = "
    (global $kept (mut i32) (i32.const 0))
    (func $keep (param i32)
        (i32.store
            (i32.add (i32.const 1024) (i32.shl (i32.and (global.get $kept) (i32.const 15)) (i32.const 2)))
            (local.get 0))
        (global.set $kept (i32.add (global.get $kept) (i32.const 1))))
    (func $argument (param $at i32) (param $place i32) (result i32) (local $tag i32) (local $number i32)
        (local.set $at (i32.add (local.get $at) (i32.shl (local.get $place) (i32.const 3))))
        (local.set $tag (i32.load offset=4 (local.get $at)))
        (local.set $number (i32.load offset=8 (local.get $at)))
        (if (result i32) (i32.eq (local.get $tag) (i32.const 1))
            (then (i32.load (i32.and (local.get $number) (i32.const 0x1fffc))))
            (else (if (result i32) (i32.eq (local.get $tag) (i32.const 2))
                (then (i32.load offset=1024
                    (i32.shl (i32.and (local.get $number) (i32.const 15)) (i32.const 2))))
                (else (local.get $number))))))";

/// A guest to drive, and a list of calls by which it answers with the handles that it got.
struct Driven {
    function: Function,
    count: usize,
    calls: Vec<(usize, Vec<(u32, u32)>)>,
}

fn numbered(names: &[&str], calls: &[(&str, &[(u32, u32)])]) -> Vec<(usize, Vec<(u32, u32)>)> {
    let number = |name: &str| names.iter().position(|other| *other == name).expect("an import");
    calls.iter().map(|(name, arguments)| (number(name), arguments.to_vec())).collect()
}

/// A handler of WASI 0.2.
fn driven_handler() -> Driven {
    let cores = handler("").cores;
    let functions: Vec<(&str, &str)> =
        cores.iter().map(|(id, core)| (id.as_str(), core.as_str())).collect();
    let mut fused = handler(&format!(
        "(call $consume (local.get $in) (i32.const 64))
        (call $stream (i32.load (i32.const 68)) (i32.const 64))
        (local.set $input (i32.load (i32.const 68)))
        (call $keep (local.get $in)) (call $keep (local.get $out))
        (call $read (local.get $input) (i64.const 65536) (i32.const 96)) {STUB}
        (call $interpret (i32.load (i32.const 100))
            (i32.add (i32.load (i32.const 100)) (i32.load (i32.const 104))))"
    ));
    fused.body(&interpreter(&functions, true));
    let names: Vec<&str> = functions.iter().map(|(id, _)| *id).collect();
    let zero = (NUMBER, 0);
    let calls: &[(&str, &[(u32, u32)])] = &[
        ("fields", &[]),
        ("response", &[(RESULT, 2)]),
        ("body", &[(RESULT, 3), (NUMBER, 64)]),
        ("set", &[(RESULT, 1), zero, (RESULT, 3), zero, zero, zero]),
        ("body_write", &[(LOADED, 68), (NUMBER, 72)]),
        ("write", &[(LOADED, 76), (NUMBER, KEPT_AT), (NUMBER, 64), (NUMBER, 80)]),
        ("drop_stream", &[(LOADED, 76)]),
        ("finish", &[(LOADED, 68), zero, zero, (NUMBER, 120)]),
    ];
    let calls = numbered(&names, calls);
    Driven {
        function: fused.function_with(Spec::named("test".parse().expect("a name"))),
        count: functions.len(),
        calls,
    }
}

/// A service of WASI 0.3.
fn driven_service() -> Driven {
    let functions: Vec<(&str, &str)> = IMPORTS.iter().map(|(id, core, _)| (*id, *core)).collect();
    let handle = format!(
        "(call $consume (local.get $request) (i32.wrap_i64 (call $sent)) (i32.const 64))
        (call $keep (i32.load (i32.const 64))) (call $keep (i32.load (i32.const 68)))
        (call $interpret (i32.const 32768) (i32.add (i32.const 32768) (i32.shr_u
            (call $read-here (i32.load (i32.const 64)) (i32.const 32768) (i32.const 32000))
            (i32.const 4))))
        (i32.load (i32.const 2048)))
        {} (func (result i32) (i32.const 0)",
        interpreter(&functions, false)
    );
    let names: Vec<&str> = functions.iter().map(|(id, _)| *id).collect();
    let zero = (NUMBER, 0);
    let calls: &[(&str, &[(u32, u32)])] = &[
        ("fields", &[]),
        ("stream", &[]),
        ("trailers", &[]),
        ("response", &[(RESULT, 2), (NUMBER, 1), (RESULT, 3), (RESULT, 5), (NUMBER, 256)]),
        ("return", &[zero, (LOADED, 256), zero, zero, zero]),
        ("write", &[(RESULT, 4), (NUMBER, KEPT_AT), (NUMBER, 64)]),
        ("drop-writer", &[(RESULT, 4)]),
    ];
    let calls = numbered(&names, calls);
    let function = service(&handle, "(i32.load (i32.const 2052))");
    Driven { function, count: functions.len(), calls }
}

/// Numbers from a seed (splitmix64, by Vigna).
struct Random(u64);

impl Random {
    fn below(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % u64::from(most)) as u32
    }

    fn argument(&mut self) -> (u32, u32) {
        match self.below(20) {
            0..8 => (RESULT, self.below(16)),
            8..12 => (LOADED, 64 + 4 * self.below(60)),
            12..15 => (NUMBER, self.below(40)),
            15..18 => (NUMBER, self.below(140_000)),
            18 => (NUMBER, u32::MAX - self.below(9)),
            _ => (NUMBER, 1 << self.below(32)),
        }
    }
}

impl Driven {
    /// The calls of an answer, once or more often, some of them left out or changed, and others among them.
    fn script(&self, random: &mut Random) -> Script {
        let mut script = Script::default();
        let count = self.calls.len() * [1, 1, 3][random.below(3) as usize];
        for (function, arguments) in self.calls.iter().cycle().take(count) {
            if random.below(6) == 0 {
                let arguments: Vec<_> = (0..ARGUMENTS).map(|_| random.argument()).collect();
                script.call(random.below(self.count as u32) as usize, &arguments);
            }
            let mut arguments = arguments.clone();
            match (random.below(16), arguments.len()) {
                (0, _) => continue,
                (1, 1..) => {
                    let place = random.below(arguments.len() as u32) as usize;
                    arguments[place] = random.argument();
                }
                _ => {}
            }
            script.call(*function, &arguments);
        }
        script
    }

    fn answer(&self, script: Script, patience: Option<Duration>) -> Result<Vec<u8>, InvokeError> {
        let request = Request::new(Body::complete(script.0));
        let deadline = patience.map(|patience| Instant::now() + patience);
        let exchange = Exchange { deadline, ..Exchange::new(request) };
        Ok(self.function.handle(exchange)?.into_body().into_bytes())
    }

    /// The answer of a guest that does as it should.
    fn usual(&self) -> Vec<u8> {
        let mut script = Script::default();
        self.calls.iter().for_each(|(function, arguments)| script.call(*function, arguments));
        self.answer(script, None).expect("it answers")
    }

    fn check(&self) {
        let usual = self.usual();
        assert_eq!(usual.len(), 64);
        let (started, mut answered, mut failed) = (Instant::now(), 0, 0);
        for seed in (0..SEEDS).take_while(|_| started.elapsed() < TIME) {
            let script = self.script(&mut Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)));
            match self.answer(script, Some(PATIENCE)) {
                Ok(_) => answered += 1,
                Err(_) => failed += 1,
            }
            assert_eq!(self.usual(), usual, "after seed {seed}");
        }
        // Guests that all do the same would show nothing.
        assert!(answered > 0 && failed > answered, "{answered} answered, {failed} failed");
    }
}

/// Both guests, to be driven by bytes.
pub(crate) struct Wild([(Driven, Vec<u8>); 2]);

impl Wild {
    pub(crate) fn new() -> Wild {
        Wild([driven_handler(), driven_service()].map(|driven| {
            let usual = driven.usual();
            (driven, usual)
        }))
    }

    /// Has one of them run these bytes, and answer as usual then.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) fn run(&self, bytes: &[u8]) {
        let Some((which, script)) = bytes.split_first() else { return };
        let (driven, usual) = &self.0[usize::from(which % 2)];
        let _ = driven.answer(Script(script.to_vec()), Some(PATIENCE));
        assert_eq!(&driven.usual(), usual);
    }
}

/// Tries seeds that nobody has tried yet.
#[test]
#[ignore = "takes as long as SECONDS says"]
fn many_wild_guests_leave_nothing_behind() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let only: Option<u64> = number("SEED");
    let time = Duration::from_secs(number("SECONDS").unwrap_or(600));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis());
    let (wild, started) = (Wild::new(), Instant::now());
    for seed in only.unwrap_or(since as u64 * 1000).. {
        // The last line names the one that fails.
        eprintln!("SEED={seed}");
        for (which, (driven, _)) in (0..).zip(&wild.0) {
            let script = driven.script(&mut Random(seed)).0;
            wild.run(&[&[which][..], &script].concat());
        }
        if only.is_some() || started.elapsed() > time {
            break;
        }
    }
}

#[test]
fn a_wild_handler_leaves_nothing_behind() {
    driven_handler().check();
}

#[test]
fn a_wild_service_leaves_nothing_behind() {
    driven_service().check();
}
