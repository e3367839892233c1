//! libdeflate in C: compresses a text at level 6, and decompresses it.

use libdeflate_sys::{
    libdeflate_alloc_compressor, libdeflate_alloc_decompressor, libdeflate_deflate_compress,
    libdeflate_deflate_decompress,
};
use programs::{Words, checksum, measure, mix};

fn main() {
    let text = Words::new(4, 4000).text(300_000);
    let compressor = unsafe { libdeflate_alloc_compressor(6) };
    let decompressor = unsafe { libdeflate_alloc_decompressor() };
    let mut compressed = vec![0; text.len() * 2];
    let mut plain = vec![0; text.len()];
    measure(|| {
        let (to, from) = (compressed.as_mut_ptr().cast(), text.as_ptr().cast());
        let size = unsafe {
            libdeflate_deflate_compress(compressor, from, text.len(), to, compressed.len())
        };
        let (to, from) = (plain.as_mut_ptr().cast(), compressed.as_ptr().cast());
        let mut length = 0;
        let code = unsafe {
            libdeflate_deflate_decompress(decompressor, from, size, to, plain.len(), &mut length)
        };
        assert_eq!((code as i32, length), (0, text.len()));
        mix(checksum(&compressed[..size]), checksum(&plain))
    });
}
