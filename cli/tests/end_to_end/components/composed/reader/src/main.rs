//! Prints what another component counts in stdin.

use std::io::Read;
use test::words::index::{Order, Words, alive, bytes};

wit_bindgen::generate!({ path: "../words.wit", world: "consumer" });

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let words = Words::new(&text);
    for entry in words.entries(&Order::ByCount) {
        println!("{entry:?}");
    }
    let only = Order::Only(vec!["two".to_owned(), "ß€𝄞".to_owned(), "none".to_owned()]);
    for entry in words.entries(&only) {
        println!("{} {}", entry.word, entry.count);
    }
    println!("{:?} {:?} {:?}", words.count("two"), words.count(""), words.count("none"));
    println!("{:?}", words.forms());
    let more = Words::new("two more");
    println!("{} alive", alive());
    let all = Words::merge(vec![words, more]);
    println!("{} alive, {:?} times", alive(), all.count("two"));
    drop(all);
    println!("{} alive", alive());
    let many: Vec<u8> = (0..3_000_000).map(|at| at as u8).collect();
    let found = bytes(&many);
    let sum: u64 = found.iter().map(|number| number >> 32).sum();
    println!("{} numbers, {sum}", found.len());
}
