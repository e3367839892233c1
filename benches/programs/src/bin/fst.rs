//! fst: builds an ordered set of words as an automaton, and searches it.

use fst::automaton::{Automaton, Str};
use fst::{IntoStreamer, Map, Streamer};
use programs::{Words, measure, mix};
use std::collections::BTreeSet;

fn main() {
    let mut words = Words::new(29, 20_000);
    let keys: BTreeSet<String> = (0..20_000).map(|_| words.next_word().to_owned()).collect();
    measure(|| {
        let map = Map::from_iter(keys.iter().zip(0..)).expect("they are sorted");
        let found = keys.iter().filter_map(|key| map.get(key.to_uppercase().to_lowercase()));
        let mut sum = found.fold(map.len() as u64, mix);
        let mut stream = map.search(Str::new("lo").starts_with()).into_stream();
        while let Some((key, value)) = stream.next() {
            sum = mix(sum, value ^ key.len() as u64);
        }
        sum
    });
}
