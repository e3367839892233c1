//! bzip2 in C: compresses a text and decompresses it.

use bzip2_sys::{
    BZ_FINISH, BZ_STREAM_END, BZ2_bzCompress, BZ2_bzCompressEnd, BZ2_bzCompressInit,
    BZ2_bzDecompress, BZ2_bzDecompressEnd, BZ2_bzDecompressInit, bz_stream,
};
use programs::{Words, checksum, measure, mix};

/// A stream from one buffer to another.
fn stream(from: &[u8], to: &mut [u8]) -> bz_stream {
    // SAFETY: null pointers and zeros are what the library asks for.
    let mut stream: bz_stream = unsafe { std::mem::zeroed() };
    (stream.next_in, stream.avail_in) = (from.as_ptr().cast_mut().cast(), from.len() as u32);
    (stream.next_out, stream.avail_out) = (to.as_mut_ptr().cast(), to.len() as u32);
    stream
}

fn main() {
    let text = Words::new(3, 4000).text(150_000).into_bytes();
    let mut compressed = vec![0; text.len() * 2];
    let mut plain = vec![0; text.len()];
    measure(|| {
        let mut one = stream(&text, &mut compressed);
        unsafe { BZ2_bzCompressInit(&mut one, 5, 0, 0) };
        assert_eq!(unsafe { BZ2_bzCompress(&mut one, BZ_FINISH) }, BZ_STREAM_END);
        let size = one.total_out_lo32 as usize;
        unsafe { BZ2_bzCompressEnd(&mut one) };
        let mut one = stream(&compressed[..size], &mut plain);
        unsafe { BZ2_bzDecompressInit(&mut one, 0, 0) };
        assert_eq!(unsafe { BZ2_bzDecompress(&mut one) }, BZ_STREAM_END);
        unsafe { BZ2_bzDecompressEnd(&mut one) };
        mix(checksum(&compressed[..size]), checksum(&plain))
    });
}
