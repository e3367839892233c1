//! aho-corasick: finds and replaces a few hundred words in a text.

use aho_corasick::{AhoCorasick, MatchKind};
use programs::{Words, checksum, measure, mix};

fn main() {
    let mut words = Words::new(15, 3000);
    let patterns: Vec<String> = (0..300).map(|_| words.next_word().to_owned()).collect();
    let text = words.text(400_000);
    let searcher = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(&patterns)
        .expect("few patterns");
    measure(|| {
        let found = searcher.find_iter(&text);
        let sum = found.fold(0, |sum, found| mix(sum, found.start() as u64));
        let mut replaced = String::new();
        searcher.replace_all_with(&text, &mut replaced, |found, _, to| {
            to.push_str(if found.pattern().as_u32() % 2 == 0 { "even" } else { "odd" });
            true
        });
        mix(sum, checksum(replaced.as_bytes()))
    });
}
