//! unicode-normalization and unicode-segmentation: a text decomposed, composed, and cut into
//! graphemes and words.

use programs::{Random, checksum, measure, mix};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

const LETTERS: &[&str] = &[
    "a", "e", "n", "t", " ", "ä", "é", "ñ", "ø", "Å", "ﬁ", "日", "本", "한", "é", "👩‍👩‍👧", "ß", ". ",
];

fn main() {
    let mut random = Random::new(24);
    let letter = |_| LETTERS[random.below(LETTERS.len() as u64) as usize];
    let text: String = (0..30_000).map(letter).collect();
    measure(|| {
        let decomposed: String = text.nfkd().collect();
        let composed: String = decomposed.nfc().collect();
        let graphemes = text.graphemes(true).fold(0, |sum, one| mix(sum, one.len() as u64));
        let words = composed.unicode_words().fold(graphemes, |sum, one| mix(sum, one.len() as u64));
        mix(words, mix(checksum(decomposed.as_bytes()), checksum(composed.as_bytes())))
    });
}
