//! Restored = fresh: an instance restored from a capture goes on as the captured one.

use crate::Verdict;
use crate::exports::{Call, Exports};
use crate::guest::{Ending, Guest, Host, State};
use crate::ours::{Live, Loaded};
use wfaas_abi::artifact::replace_image;
use wfaas_vm::{Error, Pool};

/// Captures an instance of `module` after some of the calls, and makes the others on it, on its
/// restored copy, and on two faaslets of a pool, one after the other.
pub(crate) fn with_fresh(
    module: &Loaded,
    exports: &Exports,
    calls: &[Call],
    seed: u64,
) -> Result<Verdict, String> {
    let Ok(mut fresh) = module.instantiate(Host::default()) else {
        return Ok(Verdict::NotApplicable);
    };
    let (before, after) = calls.split_at(seed as usize % (calls.len() + 1));
    for call in before {
        fresh.call(&call.function, &call.arguments);
    }
    let Some(copy) = copy(module, &mut fresh)? else { return Ok(Verdict::NotApplicable) };
    let host = fresh.store.data().clone();
    let restored = copy.instantiate(host.clone());
    let mut restored = restored.map_err(|ending| format!("restoring: {ending:?}"))?;
    let found = transcript(&mut restored, exports, after);
    let expected = match module.build.is_contained() {
        true => transcript(&mut fresh, exports, after),
        // What was written outside of the memory is in no image.
        false => found.clone(),
    };
    same("restored", &expected, &found, exports, after)?;
    let pool = Pool::new(&copy.linker(), &copy.module)
        .map_err(|error| format!("making a pool: {error}"))?;
    for name in ["first of a pool", "second of a pool"] {
        let faaslet = pool.acquire(host.clone());
        let mut faaslet = faaslet.map_err(|error| format!("the {name}: {error}"))?;
        let found = transcript(&mut faaslet, exports, after);
        same(name, &expected, &found, exports, after)?;
    }
    Ok(Verdict::Agreed)
}

/// The module with the image of `live`; `None` if it refers to something outside of it.
fn copy(module: &Loaded, live: &mut Live) -> Result<Option<Loaded>, String> {
    let capture = match live.instance.capture(&mut live.store) {
        Ok(capture) => capture,
        Err(Error::Capture(_)) => return Ok(None),
        Err(error) => return Err(format!("capturing: {error}")),
    };
    let artifact = replace_image(&module.module.artifact(), &capture.image, &capture.memory_pages);
    let artifact = artifact.map_err(|error| format!("writing the capture: {error}"))?;
    module.other(&artifact).map(Some).map_err(|error| format!("loading the capture: {error}"))
}

/// Endings of the calls, and the state after them.
type Transcript = (Vec<Ending>, State);

fn transcript(guest: &mut impl Guest, exports: &Exports, calls: &[Call]) -> Transcript {
    let endings = calls.iter().map(|call| guest.call(&call.function, &call.arguments)).collect();
    (endings, guest.state(exports))
}

fn same(
    name: &str,
    expected: &Transcript,
    found: &Transcript,
    exports: &Exports,
    calls: &[Call],
) -> Result<(), String> {
    for (at, call) in calls.iter().enumerate() {
        let (fresh, copy) = (&expected.0[at], &found.0[at]);
        if fresh != copy {
            let Call { function, arguments } = call;
            return Err(format!("{function}{arguments:x?}: fresh: {fresh:x?}, {name}: {copy:x?}"));
        }
    }
    match expected.1.difference(&found.1, exports) {
        Some(difference) => Err(format!("state, fresh and {name}: {difference}")),
        None => Ok(()),
    }
}
