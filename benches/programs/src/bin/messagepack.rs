//! rmp-serde: writes records as MessagePack, and reads them.

use programs::{Words, checksum, measure, mix};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { radius: f64 },
    Polygon(Vec<(i32, i32)>),
}

#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    shapes: Vec<Shape>,
    flags: [bool; 4],
    next: Option<Box<Record>>,
}

fn record(words: &mut Words, depth: u32) -> Record {
    let shape = |words: &mut Words| match words.below(3) {
        0 => Shape::Point,
        1 => Shape::Circle { radius: words.below(100) as f64 / 4.0 },
        _ => Shape::Polygon((0..5).map(|at| (at * 70, words.below(40_000) as i32)).collect()),
    };
    Record {
        name: words.next_word().to_owned(),
        shapes: (0..6).map(|_| shape(words)).collect(),
        flags: [true, false, depth > 1, words.below(2) == 0],
        next: (depth > 0).then(|| Box::new(record(words, depth - 1))),
    }
}

fn main() {
    let mut words = Words::new(28, 500);
    let records: Vec<Record> = (0..500).map(|_| record(&mut words, 4)).collect();
    measure(|| {
        let bytes = rmp_serde::to_vec_named(&records).expect("plain data");
        let read: Vec<Record> = rmp_serde::from_slice(&bytes).expect("records");
        mix(checksum(&bytes), checksum(&rmp_serde::to_vec(&read).expect("plain data")))
    });
}
