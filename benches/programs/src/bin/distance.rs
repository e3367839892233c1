//! strsim: distances between all pairs of words.

use programs::{Words, measure, mix};

fn main() {
    let mut words = Words::new(27, 500);
    let words: Vec<String> = (0..70).map(|_| words.next_word().to_owned()).collect();
    measure(|| {
        let mut sum = 0;
        for a in &words {
            for b in &words {
                sum = mix(sum, strsim::levenshtein(a, b) as u64);
                sum = mix(sum, strsim::damerau_levenshtein(a, b) as u64);
                sum = mix(sum, strsim::jaro_winkler(a, b).to_bits());
            }
        }
        sum
    });
}
