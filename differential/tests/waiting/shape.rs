//! The shapes of frames: what the test is to have seen often enough.

use std::collections::HashMap;
use wasmparser::{Operator, Parser, Payload};
use wfaas_compiler::Continuation;

/// Kinds of frames, by name, and whether a program that waits has one.
pub(crate) const KINDS: [&str; 8] = [
    "recursion at the same site",
    "recursion at another site",
    "calls through tables",
    "try_table around the site",
    "v128",
    "several results",
    "tail calls",
    "nested loops",
];

/// A call in a module.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The function that it is in.
    pub(crate) function: u32,
    /// The function that it calls; `None` through a table.
    pub(crate) callee: Option<u32>,
    in_try: bool,
    loops: usize,
}

/// All calls, by their offset.
pub(crate) fn calls(wasm: &[u8]) -> HashMap<u32, Call> {
    let (mut calls, mut function) = (HashMap::new(), 2);
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload.expect("valid") else { continue };
        let mut reader = body.get_operators_reader().expect("valid");
        let mut blocks = Vec::new();
        while !reader.eof() {
            let (operator, offset) = reader.read_with_offset().expect("valid");
            let callee = match operator {
                Operator::Block { .. } | Operator::If { .. } => {
                    blocks.push(None);
                    continue;
                }
                Operator::Loop { .. } => {
                    blocks.push(Some(true));
                    continue;
                }
                Operator::TryTable { .. } => {
                    blocks.push(Some(false));
                    continue;
                }
                Operator::End => {
                    blocks.pop();
                    continue;
                }
                Operator::Call { function_index } => Some(function_index),
                Operator::CallIndirect { .. } => None,
                _ => continue,
            };
            let count = |kind| blocks.iter().filter(|block| **block == Some(kind)).count();
            let (in_try, loops) = (count(false) > 0, count(true));
            calls.insert(offset as u32, Call { function, callee, in_try, loops });
        }
        function += 1;
    }
    calls
}

/// The kinds of frames that there are.
pub(crate) fn kinds(
    continuation: &Continuation,
    calls: &HashMap<u32, Call>,
    text: &str,
) -> [bool; KINDS.len()] {
    let (innermost, frames) = continuation.frames.split_last().expect("there is the import's");
    let sites: Vec<&Call> = frames.iter().map(|frame| &calls[&frame.site]).collect();
    let pairs = || (0..frames.len()).flat_map(|a| (0..a).map(move |b| (&frames[a], &frames[b])));
    let again = |same_site: bool| {
        pairs().any(|(a, b)| a.function == b.function && (a.site == b.site) == same_site)
    };
    let callees = frames.iter().skip(1).chain([innermost]).map(|frame| frame.function);
    let is_tail =
        sites.iter().zip(callees).any(|(call, is)| call.callee.is_some_and(|to| to != is));
    let signature = |function: u32| {
        let name = format!("(func $f{} (type $s", function.wrapping_sub(3));
        let at = text.find(&name).map(|at| at + name.len());
        at.and_then(|at| text[at..].chars().next())
    };
    let with = |wanted: &[char]| {
        frames.iter().filter_map(|frame| signature(frame.function)).any(|ty| wanted.contains(&ty))
    };
    [
        again(true),
        again(false),
        sites.iter().any(|call| call.callee.is_none()),
        sites.iter().any(|call| call.in_try),
        with(&['3']),
        with(&['2', '3']),
        is_tail,
        sites.iter().any(|call| call.loops > 1),
    ]
}
