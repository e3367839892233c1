//! Zstandard in C: compresses a text at level 3, and decompresses it.

use programs::{Words, checksum, measure, mix};
use zstd_sys::{ZSTD_compress, ZSTD_compressBound, ZSTD_decompress};

fn main() {
    let text = Words::new(1, 4000).text(600_000);
    let mut compressed = vec![0; unsafe { ZSTD_compressBound(text.len()) }];
    let mut plain = vec![0; text.len()];
    measure(|| {
        let (to, from) = (compressed.as_mut_ptr().cast(), text.as_ptr().cast());
        let size = unsafe { ZSTD_compress(to, compressed.len(), from, text.len(), 3) };
        let (to, from) = (plain.as_mut_ptr().cast(), compressed.as_ptr().cast());
        let length = unsafe { ZSTD_decompress(to, plain.len(), from, size) };
        assert_eq!(length, text.len());
        mix(checksum(&compressed[..size]), checksum(&plain))
    });
}
