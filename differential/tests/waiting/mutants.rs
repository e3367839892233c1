//! Mistakes in the frames or the code that continues, made on purpose: the comparison has to find each.

use super::{Case, case, shape};
use wfaas_abi::artifact::records::StackMapRecord;
use wfaas_abi::artifact::{HEADER_OFFSET, SectionId, seal};
use wfaas_compiler::{Continuation, Options};
use wfaas_differential::Random;
use wfaas_vm::{Artifact, Config, Engine};

/// Numbers of a stack map, in the order of their declaration.
const MAP_WORDS: usize = size_of::<StackMapRecord>() / 4;

/// Programs of which one at least has to show a mistake.
const PROGRAMS: u64 = 2000;

/// Whether some program ends in another way with a change of what continues it.
fn is_found(change: impl Fn(&mut Case, &mut Random) -> Option<Vec<u8>>) -> Option<u64> {
    let engine = Engine::new(Config::default()).unwrap();
    (0..PROGRAMS).find(|number| {
        let Some(mut case) = case(&engine, *number) else { return false };
        let Some(artifact) = change(&mut case, &mut Random::new(*number)) else { return false };
        crate::run::finish(&engine, &artifact, case.wait_at) != case.whole
    })
}

fn continued(case: &Case) -> Option<Vec<u8>> {
    Some(case.waiting.continued(&Options::default()).expect("it compiles"))
}

fn frames(case: &mut Case) -> &mut Continuation {
    &mut case.waiting.continuation
}

#[test]
fn a_local_that_is_not_saved_is_found() {
    let found = is_found(|case, random| {
        let frames = &mut frames(case).frames;
        let frame = random.below(frames.len());
        let locals = &mut frames[frame].locals;
        if locals.is_empty() {
            return None;
        }
        let local = random.below(locals.len() / 8);
        locals[local * 8..][..8].fill(0);
        continued(case)
    });
    assert!(found.is_some(), "no program shows it");
}

#[test]
fn operands_that_are_swapped_are_found() {
    let found = is_found(|case, _| {
        let changed = frames(case).frames.iter_mut().find(|frame| frame.operands.len() >= 32)?;
        let (first, rest) = changed.operands.split_at_mut(16);
        first.swap_with_slice(&mut rest[..16]);
        continued(case)
    });
    assert!(found.is_some(), "no program shows it");
}

#[test]
fn a_wrong_entry_is_found() {
    let found = is_found(|case, random| {
        let calls = shape::calls(&wat::parse_str(&case.text).expect("it is a module"));
        let frames = &mut frames(case).frames;
        let (at, last) = (random.below(frames.len() - 1), frames.len() - 1);
        let here = calls[&frames[at].site].clone();
        // Another call of the same function: the types are the same.
        let mut others: Vec<u32> = calls
            .iter()
            .filter(|(site, call)| {
                **site != frames[at].site
                    && call.function == here.function
                    && call.callee.is_some()
                    && call.callee == here.callee
            })
            .map(|(site, _)| *site)
            .collect();
        others.sort_unstable();
        assert!(at < last, "the import has no site");
        let site = *others.get(random.below(others.len().max(1)))?;
        frames[at].site = site;
        continued(case)
    });
    assert!(found.is_some(), "no program shows it");
}

#[test]
fn a_handler_that_is_lost_is_found() {
    let found = is_found(|case, _| {
        let mut artifact = continued(case)?;
        let parsed = Artifact::parse(&artifact).expect("it is one");
        let code = parsed.functions().last().expect("the one that continues");
        let start = code.text_offset.get();
        let twins = start..start + code.text_size.get();
        let section = parsed.header().sections[SectionId::Handlers as usize];
        let handlers = parsed.handlers().iter().enumerate();
        let lost: Vec<usize> = handlers
            .filter(|(_, record)| twins.contains(&record.return_offset.get()))
            .map(|(index, _)| {
                section.offset.get() as usize + index * size_of_val(&parsed.handlers()[0])
            })
            .collect();
        if lost.is_empty() {
            return None;
        }
        // A return address that is none, still in order.
        for at in lost {
            artifact[at] = artifact[at].wrapping_sub(1);
        }
        assert!(artifact.len() > HEADER_OFFSET);
        seal(&mut artifact);
        Some(artifact)
    });
    assert!(found.is_some(), "no program shows it");
}

/// A program that waits again, with a mistake in one of its stack maps.
fn mapped_wrongly(change: impl Fn(&mut [u32; MAP_WORDS])) -> Option<u64> {
    let engine = Engine::new(Config::default()).unwrap();
    (0..PROGRAMS).find(|number| {
        let Some(mut case) = case(&engine, *number) else { return false };
        let again = crate::later(number | 1, case.wait_at, case.whole.calls);
        if again.is_empty() {
            return false;
        }
        case.waiting.waits_again(&engine, &again);
        let mut artifact = case.waiting.continued(&Options::default()).expect("it compiles");
        let header = Artifact::parse(&artifact).expect("it is one").header();
        let section = header.sections[SectionId::StackMaps as usize];
        let start = section.offset.get() as usize;
        let maps = &mut artifact[start..start + section.size.get() as usize];
        for map in maps.as_chunks_mut::<4>().0.as_chunks_mut::<MAP_WORDS>().0 {
            let mut words = map.map(u32::from_le_bytes);
            change(&mut words);
            *map = words.map(u32::to_le_bytes);
        }
        seal(&mut artifact);
        let found = crate::run::finish_in_pieces(&engine, &artifact, case.wait_at, &again);
        found != Some(case.whole)
    })
}

#[test]
fn locals_that_are_mapped_to_another_place_are_found() {
    // Sixteen bytes further up are other locals.
    let found = mapped_wrongly(|map| {
        let [.., locals_below_fp, locals_bytes, _, _] = map;
        if *locals_bytes >= 32 {
            *locals_below_fp -= 16;
        }
    });
    assert!(found.is_some(), "no program shows it");
}

#[test]
fn operands_that_are_mapped_to_another_place_are_found() {
    let found = mapped_wrongly(|map| {
        let [.., operands_below_fp, operands_bytes] = map;
        if *operands_bytes >= 32 {
            *operands_below_fp -= 16;
        }
    });
    assert!(found.is_some(), "no program shows it");
}
