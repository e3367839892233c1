//! The regex crate: finds all matches of four patterns in a text.

use programs::{Words, measure, mix};
use regex::Regex;

const PATTERNS: [&str; 4] = [
    r"\b(?:ka|lo)\w+ing\b",
    r"(?i)[a-m]+tor(?:ren)?\.",
    r"(\w+) (\w+) sa(\w*)",
    r"(?:est|ber|vel){2,}|unquios",
];

fn main() {
    let text = Words::new(6, 3000).text(200_000);
    let regexes = PATTERNS.map(|pattern| Regex::new(pattern).expect("a good pattern"));
    measure(|| {
        let mut sum = 0;
        for regex in &regexes {
            for found in regex.captures_iter(&text) {
                for group in found.iter().flatten() {
                    sum = mix(sum, (group.start() as u64) << 32 | group.end() as u64);
                }
            }
        }
        sum
    });
}
