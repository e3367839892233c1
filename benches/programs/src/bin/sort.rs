//! Sorting of the standard library: numbers, strings, records by key, and a heap.

use programs::{Random, Words, measure, mix};
use std::collections::{BTreeMap, BinaryHeap};

fn main() {
    let mut random = Random::new(13);
    let numbers: Vec<u64> = (0..60_000).map(|_| random.next()).collect();
    let mut words = Words::new(14, 20_000);
    let strings: Vec<String> = (0..20_000).map(|_| words.next_word().to_owned()).collect();
    measure(|| {
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        let mut records: Vec<(u32, u64)> =
            numbers.iter().zip(0..).map(|(key, at)| (*key as u32 % 1000, at)).collect();
        records.sort();
        let mut texts: Vec<&str> = strings.iter().map(String::as_str).collect();
        texts.sort();
        let mut counts = BTreeMap::new();
        strings.iter().for_each(|text| *counts.entry(text.as_str()).or_insert(0u64) += 1);
        let mut heap: BinaryHeap<u64> = numbers.iter().copied().take(20_000).collect();
        let mut sum = records.iter().step_by(100).fold(sorted[30_000], |sum, (_, at)| mix(sum, *at));
        while let Some(most) = heap.pop() {
            sum = mix(sum, most);
        }
        sum = texts.iter().step_by(50).fold(sum, |sum, text| mix(sum, text.len() as u64));
        counts.values().fold(sum, |sum, count| mix(sum, *count))
    });
}
