//! Random programs, and their text.

use std::fmt::Write;

/// Tags: two without values, and one with a number.
pub(crate) const TAGS: u32 = 3;

/// The tag with a number.
pub(crate) const WITH_NUMBER: u32 = 2;

/// Rounds that all loops of a run make together at most.
pub(crate) const ROUNDS: i32 = 20;

/// Deepest block.
const MOST_NESTED: usize = 7;

/// Instructions and blocks of a program; labels are relative, as in WebAssembly.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Writes a number into the trace.
    Note(i32),
    /// Adds to the local.
    Add(i32),
    /// Writes the local into the trace.
    NoteLocal,
    /// Throws here, or in a function that it calls.
    Throw {
        tag: u32,
        number: i32,
        calls: bool,
    },
    Rethrow(u32),
    Branch(u32),
    Block(Vec<Step>),
    /// Goes on for a further round while there are some.
    Loop(Vec<Step>),
    /// Runs if a bit of the argument is set.
    If(u32, Vec<Step>),
    Try {
        body: Vec<Step>,
        catches: Vec<(u32, Vec<Step>)>,
        all: Option<Vec<Step>>,
    },
    Delegate {
        body: Vec<Step>,
        label: u32,
    },
    /// Catches exceptions of a tag without values, then all, each with a label.
    TryTable {
        body: Vec<Step>,
        one: Option<(u32, u32)>,
        all: Option<u32>,
    },
}

/// A program: the body of its function.
pub(crate) struct Program(pub(crate) Vec<Step>);

/// An enclosing block of a program that is being made.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Block,
    Loop,
    Catch,
}

/// The choices of a program.
struct Random(wfaas_differential::Random);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0.below(limit as usize) as u32
    }

    fn number(&mut self) -> i32 {
        self.below(1000) as i32
    }

    /// The label of an enclosing block that is `wanted`.
    fn label(&mut self, around: &[Around], wanted: fn(Around) -> bool) -> Option<u32> {
        let inner = around.iter().rev();
        let labels: Vec<u32> =
            (0..).zip(inner).filter(|(_, kind)| wanted(**kind)).map(|(label, _)| label).collect();
        let chosen = self.below(labels.len().max(1) as u32);
        labels.get(chosen as usize).copied()
    }
}

impl Program {
    /// The program with a number.
    pub(crate) fn of(number: u64) -> Program {
        let mut random = Random(wfaas_differential::Random::new(number));
        Program(steps(&mut random, &mut vec![Around::Block], 40))
    }

    /// Its module.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "(module (tag $t0) (tag $t1) (tag $t2 (param i32))
               (global $trace (export \"trace\") (mut i64) (i64.const 7))
               (global $rounds (mut i32) (i32.const {ROUNDS}))
               (func $note (param i32)
                 (global.set $trace (i64.add (i64.mul (global.get $trace) (i64.const 31))
                   (i64.extend_i32_s (local.get 0)))))
               (func $again (result i32)
                 (global.set $rounds (i32.sub (global.get $rounds) (i32.const 1)))
                 (i32.gt_s (global.get $rounds) (i32.const 0)))
               (func $throw0 (param i32) throw $t0)
               (func $throw1 (param i32) throw $t1)
               (func $throw2 (param i32) local.get 0 throw $t2)
               (func (export \"run\") (param i32) (local $l i32)\n"
        );
        write(&mut text, &self.0);
        text.push_str("))");
        text
    }
}

/// Steps of so much together, inside of the blocks `around`.
fn steps(random: &mut Random, around: &mut Vec<Around>, mut much: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    while much > 0 {
        let part = (1 + random.below(much)).min(much);
        much -= part;
        let deep = around.len() > MOST_NESTED;
        steps.push(if part < 3 || deep {
            leaf(random, around)
        } else {
            block(random, around, part)
        });
    }
    steps
}

fn leaf(random: &mut Random, around: &[Around]) -> Step {
    match random.below(12) {
        0..3 => Step::Add(random.number()),
        3..5 => Step::NoteLocal,
        5..8 => {
            let (tag, number) = (random.below(TAGS), random.number());
            Step::Throw { tag, number, calls: random.below(3) > 0 }
        }
        8 | 9 => match random.label(around, |kind| kind == Around::Catch) {
            Some(label) => Step::Rethrow(label),
            None => Step::Note(random.number()),
        },
        10 => match random.label(around, |kind| kind != Around::Loop) {
            Some(label) => Step::Branch(label),
            None => Step::Note(random.number()),
        },
        _ => Step::Note(random.number()),
    }
}

fn block(random: &mut Random, around: &mut Vec<Around>, much: u32) -> Step {
    let mut inside = |random: &mut Random, kind: Around, much: u32| {
        around.push(kind);
        let steps = steps(random, around, much);
        around.pop();
        steps
    };
    match random.below(11) {
        0 => Step::Block(inside(random, Around::Block, much)),
        1 => Step::Loop(inside(random, Around::Loop, much)),
        2 => Step::If(random.below(2), inside(random, Around::Block, much)),
        3..5 => Step::Delegate {
            body: inside(random, Around::Block, much),
            label: random.below(around.len() as u32),
        },
        5 => {
            let body = inside(random, Around::Block, much);
            let label = |random: &mut Random| random.label(around, |kind| kind != Around::Loop);
            let one = label(random).map(|label| (random.below(WITH_NUMBER), label));
            let all = label(random).filter(|_| random.below(2) == 0);
            Step::TryTable { body, one, all }
        }
        _ => {
            let body = inside(random, Around::Block, much);
            let part = |random: &mut Random| random.below(much / 2 + 1);
            let mut catches = Vec::new();
            for _ in 0..random.below(3) {
                let (tag, much) = (random.below(TAGS), part(random));
                catches.push((tag, inside(random, Around::Catch, much)));
            }
            let much = part(random);
            let all = (random.below(2) == 0).then(|| inside(random, Around::Catch, much));
            Step::Try { body, catches, all }
        }
    }
}

fn write(text: &mut String, steps: &[Step]) {
    for step in steps {
        let _ = match step {
            Step::Note(number) => writeln!(text, "i32.const {number} call $note"),
            Step::Add(number) => {
                writeln!(text, "local.get $l i32.const {number} i32.add local.set $l")
            }
            Step::NoteLocal => writeln!(text, "local.get $l call $note"),
            Step::Throw { tag, number, calls: true } => {
                writeln!(text, "i32.const {number} call $throw{tag}")
            }
            Step::Throw { tag: WITH_NUMBER, number, .. } => {
                writeln!(text, "i32.const {number} throw $t{WITH_NUMBER}")
            }
            Step::Throw { tag, .. } => writeln!(text, "throw $t{tag}"),
            Step::Rethrow(label) => writeln!(text, "rethrow {label}"),
            Step::Branch(label) => writeln!(text, "br {label}"),
            Step::Block(body) => wrap(text, "block", body, "end"),
            Step::Loop(body) => wrap(text, "loop", body, "call $again br_if 0 end"),
            Step::If(bit, body) => {
                let test = format!("local.get 0 i32.const {} i32.and if", 1 << bit);
                wrap(text, &test, body, "end")
            }
            Step::Delegate { body, label } => wrap(text, "try", body, &format!("delegate {label}")),
            Step::Try { body, catches, all } => write_try(text, body, catches, all.as_deref()),
            Step::TryTable { body, one, all } => {
                let one = one.map(|(tag, label)| format!("(catch $t{tag} {label})"));
                let all = all.map(|label| format!("(catch_all {label})"));
                let (one, all) = (one.unwrap_or_default(), all.unwrap_or_default());
                wrap(text, &format!("try_table {one} {all}"), body, "end")
            }
        };
    }
}

fn wrap(text: &mut String, start: &str, body: &[Step], end: &str) -> std::fmt::Result {
    writeln!(text, "{start}")?;
    write(text, body);
    writeln!(text, "{end}")
}

/// A part for the tag with a number writes it into the trace.
fn write_try(
    text: &mut String,
    body: &[Step],
    catches: &[(u32, Vec<Step>)],
    all: Option<&[Step]>,
) -> std::fmt::Result {
    wrap(text, "try", body, "")?;
    for (tag, body) in catches {
        let note = if *tag == WITH_NUMBER { "call $note" } else { "" };
        wrap(text, &format!("catch $t{tag} {note}"), body, "")?;
    }
    if let Some(body) = all {
        wrap(text, "catch_all", body, "")?;
    }
    writeln!(text, "end")
}
