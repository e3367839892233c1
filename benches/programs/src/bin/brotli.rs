//! brotli in Rust: compresses a text at level 5, and decompresses it.

use brotli::enc::BrotliEncoderParams;
use programs::{Words, checksum, measure, mix};

fn main() {
    let text = Words::new(17, 4000).text(200_000);
    let params = BrotliEncoderParams { quality: 5, lgwin: 18, ..Default::default() };
    measure(|| {
        let mut compressed = Vec::new();
        brotli::BrotliCompress(&mut text.as_bytes(), &mut compressed, &params).expect("a vector");
        let mut plain = Vec::new();
        brotli::BrotliDecompress(&mut &compressed[..], &mut plain).expect("what was compressed");
        mix(checksum(&compressed), checksum(&plain))
    });
}
