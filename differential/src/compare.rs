//! wfaas = peer: the same calls, the same endings, the same state.

use crate::Verdict;
use crate::build::Build;
use crate::exports::{Call, Exports};
use crate::guest::{Ending, Guest, Host, Kind};
use crate::ours::Loaded;
use crate::peer::Peer;

/// Most instances one module is given: each trap begins a new one, since fuel stays spent.
const LIVES: usize = 12;

/// Whether `module`, compiled from `wasm`, behaves as in the peer; adds to `returned` how many
/// calls returned there.
pub(crate) fn with_peer(
    module: &Loaded,
    wasm: &[u8],
    exports: &Exports,
    calls: &[Call],
    returned: &mut usize,
) -> Result<Verdict, String> {
    let peer = match Peer::new(wasm) {
        Ok(peer) => peer,
        Err(reason) => return Ok(Verdict::Refused(format!("by the peer: {reason}"))),
    };
    let mut rest = calls;
    for _ in 0..LIVES {
        let mine = module.instantiate(Host::default());
        let (mut mine, mut theirs) = match (mine, peer.instantiate()) {
            (Ok(mine), Ok(theirs)) => (mine, theirs),
            (mine, theirs) => {
                let ending = |what| format!("instantiating: {what}");
                let mine = mine.err().unwrap_or(Ending::Returned(Vec::new()));
                let theirs = theirs.err().unwrap_or(Ending::Returned(Vec::new()));
                return same_ending(&mine, &theirs, module.build).map_err(ending);
            }
        };
        match life(module.build, &mut mine, &mut theirs, exports, rest, returned)? {
            Life::Undecided(reason) => return Ok(Verdict::Inconclusive(reason)),
            Life::Lived(done) => rest = &rest[done..],
        }
        if rest.is_empty() {
            break;
        }
    }
    Ok(Verdict::Agreed)
}

/// What became of two instances.
enum Life {
    /// After so many calls, the last of which may have trapped, they are alike.
    Lived(usize),
    Undecided(String),
}

/// Makes the calls up to the first trap, then compares what can be seen.
fn life(
    build: Build,
    mine: &mut impl Guest,
    theirs: &mut impl Guest,
    exports: &Exports,
    calls: &[Call],
    returned: &mut usize,
) -> Result<Life, String> {
    let mut done = 0;
    for call in calls {
        done += 1;
        let (left, right) = (
            mine.call(&call.function, &call.arguments),
            theirs.call(&call.function, &call.arguments),
        );
        let what = |what| format!("{}{:x?}: {what}", call.function, call.arguments);
        if let Verdict::Inconclusive(reason) = same_ending(&left, &right, build).map_err(what)? {
            return Ok(Life::Undecided(reason));
        }
        if !matches!(left, Ending::Returned(_)) {
            break;
        }
        *returned += 1;
    }
    let (mine, theirs) = (mine.state(exports), theirs.state(exports));
    match mine.difference(&theirs, exports) {
        Some(difference) => Err(format!("state after {done} calls: {difference}")),
        None => Ok(Life::Lived(done)),
    }
}

fn same_ending(mine: &Ending, theirs: &Ending, build: Build) -> Result<Verdict, String> {
    // A trap here may be another one, later: bulk operations are checked under every strategy.
    if *theirs == Ending::Trapped(Kind::MemoryBounds) && !build.traps() {
        return Ok(Verdict::Inconclusive("goes on after an access outside of the memory".into()));
    }
    if mine == theirs {
        return Ok(Verdict::Agreed);
    }
    if mine.is_inconclusive() || theirs.is_inconclusive() {
        return Ok(Verdict::Inconclusive(format!("wfaas: {mine:?}, peer: {theirs:?}")));
    }
    Err(format!("wfaas: {mine:x?}, peer: {theirs:x?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Choice;
    use wfaas_abi::BoundsStrategy;

    /// What differs when wfaas runs one module and the peer another.
    fn judge(ours: &str, theirs: &str) -> Result<Verdict, String> {
        judge_with(BoundsStrategy::Guard, ours, theirs)
    }

    fn judge_with(bounds: BoundsStrategy, ours: &str, theirs: &str) -> Result<Verdict, String> {
        let wasm = wat::parse_str(theirs).expect("a module");
        let exports = Exports::of(&wasm).expect("a valid module");
        let mut choice = Choice::all();
        choice.strategies = vec![bounds];
        let build = Build::of(0, &choice);
        let compiled = wfaas_compiler::compile(ours.as_bytes(), &build.options());
        let artifact = compiled.expect("a module").artifact;
        let module = Loaded::new(&artifact, build).expect("an artifact");
        with_peer(&module, &wasm, &exports, &exports.calls(0), &mut 0)
    }

    #[test]
    fn what_differs_is_seen() {
        let one = r#"(module (memory (export "m") 1) (global (export "g") (mut i32) (i32.const 0))
            (table (export "t") 2 funcref) (elem (i32.const 0) $f)
            (func $f (export "f") (result i32)
              (i32.store (i32.const 8) (i32.const 1)) (global.set 0 (i32.const 2))
              (i32.const 3)))"#;
        assert_eq!(judge(one, one), Ok(Verdict::Agreed));
        let changes = [
            ("(i32.const 3)))", "(i32.const 4)))", "peer: Returned([I32(4)])"),
            ("(i32.const 3)))", "unreachable))", "peer: Trapped(Unreachable)"),
            ("(i32.const 8) (i32.const 1)", "(i32.const 8) (i32.const 5)", "memory \"m\""),
            ("(global.set 0 (i32.const 2))", "", "global \"g\""),
            ("(elem (i32.const 0) $f)", "(elem (i32.const 1) $f)", "table \"t\""),
            ("(elem (i32.const 0) $f)", "(elem (i32.const 2) $f)", "Trapped(TableBounds)"),
        ];
        for (from, to, expected) in changes {
            let wrong = judge(one, &one.replace(from, to)).expect_err(to);
            assert!(wrong.contains(expected), "{to}: {wrong}");
        }
    }

    /// Both trap for an access outside of the memory, but not for the same one.
    #[test]
    fn the_same_trap_at_another_place_is_no_disagreement() {
        let module = r#"(module (memory 1) (global (export "g") (mut i32) (i32.const 0))
            (func (export "f") (i32.store (i32.const 70000) (i32.const 1))
              (global.set 0 (i32.const 1))
              (memory.fill (i32.const 70000) (i32.const 1) (i32.const 1))))"#;
        for bounds in BoundsStrategy::ALL {
            let traps = !matches!(bounds, BoundsStrategy::Clamp | BoundsStrategy::None);
            let verdict = judge_with(*bounds, module, module).expect("no disagreement");
            assert_eq!(verdict == Verdict::Agreed, traps, "{bounds:?}: {verdict:?}");
        }
    }
}
