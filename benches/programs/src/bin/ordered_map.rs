//! indexmap: counts words, and removes and sorts entries; hashed by FNV.

use indexmap::IndexMap;
use programs::{Words, measure, mix};
use std::hash::{BuildHasherDefault, Hasher};

#[derive(Default)]
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

fn main() {
    let mut words = Words::new(30, 8000);
    let text: Vec<String> = (0..60_000).map(|_| words.next_word().to_owned()).collect();
    measure(|| {
        let mut counts: IndexMap<&str, u64, BuildHasherDefault<Fnv>> = IndexMap::default();
        for word in &text {
            *counts.entry(word.as_str()).or_default() += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts.sort_by(|a, x, b, y| y.cmp(x).then(a.cmp(b)));
        counts.iter().fold(0, |sum, (word, count)| mix(sum, *count << 8 | word.len() as u64))
    });
}
