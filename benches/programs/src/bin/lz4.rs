//! LZ4 in C: compresses a text and decompresses it, several times.

use lz4_sys::{LZ4_compressBound, LZ4_compress_default, LZ4_decompress_safe};
use programs::{Words, checksum, measure, mix};

fn main() {
    let text = Words::new(2, 4000).text(600_000);
    let length = text.len() as i32;
    let mut compressed = vec![0; unsafe { LZ4_compressBound(length) } as usize];
    let mut plain = vec![0; text.len()];
    measure(|| {
        (0..4).fold(0, |sum, _| {
            let (to, from) = (compressed.as_mut_ptr().cast(), text.as_ptr().cast());
            let most = compressed.len() as i32;
            let size = unsafe { LZ4_compress_default(from, to, length, most) };
            let (to, from) = (plain.as_mut_ptr().cast(), compressed.as_ptr().cast());
            assert_eq!(unsafe { LZ4_decompress_safe(from, to, size, length) }, length);
            // The compressed form depends on the size of pointers.
            mix(sum, checksum(&plain))
        })
    });
}
