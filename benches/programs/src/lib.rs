//! The harness of all programs: runs a work, times its last call, and makes inputs.
//!
//! A program prints one line, `nanoseconds checksum`. The checksum is of everything that the work
//! computed, and the same on every engine and machine: no addresses, no sizes of pointers, no order
//! of a hash map.

use std::hint::black_box;
use std::time::Instant;

/// Calls `work` twice, or as often as the first argument says, and prints the time of the last call.
pub fn measure(mut work: impl FnMut() -> u64) {
    let calls = std::env::args().nth(1).and_then(|calls| calls.parse().ok()).unwrap_or(2);
    let (mut nanos, mut checksum) = (0, 0);
    for _ in 0..calls {
        let start = Instant::now();
        checksum = black_box(work());
        nanos = start.elapsed().as_nanos();
    }
    println!("{nanos} {checksum}");
}

/// A checksum of bytes: FNV-1a, over words of eight bytes so that it takes little of the time.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325;
    let chunks = bytes.chunks_exact(8);
    for byte in chunks.remainder() {
        sum = mix(sum, u64::from(*byte));
    }
    for chunk in chunks {
        sum = mix(sum, u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    sum
}

/// One step of a checksum.
pub fn mix(sum: u64, value: u64) -> u64 {
    (sum ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
}

/// Pseudo-random numbers: xorshift64*.
pub struct Random(u64);

impl Random {
    /// The sequence with this number.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next one, below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// The next one, from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }
}

const SYLLABLES: &[&str] = &[
    "ka", "lo", "mi", "ren", "tor", "sa", "vel", "un", "der", "ing", "ta", "qui", "os", "pre",
    "com", "al", "est", "ber", "no", "wa",
];

/// Words that differ in how often they come, as those of a language do.
pub struct Words {
    words: Vec<String>,
    random: Random,
}

impl Words {
    /// The text with this number, of `count` different words.
    pub fn new(seed: u64, count: usize) -> Words {
        let mut random = Random::new(seed);
        let mut word = || {
            let syllables = 1 + random.below(4);
            let syllable = |_| SYLLABLES[random.below(SYLLABLES.len() as u64) as usize];
            (0..syllables).map(syllable).collect()
        };
        let words = (0..count).map(|_| word()).collect();
        Words { words, random }
    }

    /// The next word: the first ones are the most frequent.
    pub fn next_word(&mut self) -> &str {
        let place = self.random.unit();
        &self.words[(place * place * place * self.words.len() as f64) as usize]
    }

    /// The next number, below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    /// Sentences of about `bytes` bytes, some in lines of their own.
    pub fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 64);
        while text.len() < bytes {
            let words = 4 + self.below(12);
            for index in 0..words {
                if index > 0 {
                    text.push(' ');
                }
                let word = self.next_word().to_owned();
                text.push_str(&word);
            }
            text.push_str(if self.below(5) == 0 { ".\n" } else { ". " });
        }
        text
    }
}

/// A picture of RGB bytes: gradients, edges, and some noise.
pub fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut random = Random::new(77);
    let mut bytes = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let inside = (x / 16 + y / 16) % 3 == 0;
            let noise = random.below(9) as usize;
            let pixel = [x * 200 / width + noise, y * 200 / height, (x + y) % 256];
            bytes.extend(pixel.map(|value| if inside { 255 - value as u8 } else { value as u8 }));
        }
    }
    bytes
}
