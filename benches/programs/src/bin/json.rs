//! serde_json: reads a document into values and into types, and writes both.

use programs::{Words, checksum, measure, mix};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    tags: Vec<String>,
    lines: Vec<Line>,
    note: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    count: u32,
    price: f64,
}

fn order(words: &mut Words, id: u64) -> Order {
    let word = |words: &mut Words| words.next_word().to_owned();
    let line = |words: &mut Words| Line {
        name: format!("{} \"{}\"", word(words), word(words)),
        count: words.below(100) as u32,
        price: words.below(1_000_000) as f64 / 100.0,
    };
    Order {
        id,
        customer: words.text(20),
        tags: (0..4).map(|_| word(words)).collect(),
        lines: (0..5).map(|_| line(words)).collect(),
        note: (id % 3 == 0).then(|| format!("ünï\n{}", words.text(60))),
    }
}

fn main() {
    let mut words = Words::new(8, 2000);
    let orders: Vec<Order> = (0..500).map(|id| order(&mut words, id)).collect();
    let text = serde_json::to_string(&orders).expect("plain data");
    measure(|| {
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let orders: Vec<Order> = serde_json::from_str(&text).expect("orders");
        let pretty = serde_json::to_string_pretty(&value).expect("plain data");
        let plain = serde_json::to_string(&orders).expect("plain data");
        mix(checksum(pretty.as_bytes()), checksum(plain.as_bytes()))
    });
}
