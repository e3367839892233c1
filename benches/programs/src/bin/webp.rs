//! libwebp in C: encodes a picture with losses, and decodes it.

use libwebp_sys::{WebPDecodeRGBInto, WebPEncodeRGB, WebPFree};
use programs::{checksum, measure, mix};
use std::slice::from_raw_parts;

fn main() {
    let (width, height) = (192, 128);
    let picture = programs::picture(width, height);
    let stride = width as i32 * 3;
    let mut decoded = vec![0; picture.len()];
    measure(|| {
        let mut bytes = std::ptr::null_mut();
        let size = unsafe {
            WebPEncodeRGB(picture.as_ptr(), width as i32, height as i32, stride, 75.0, &mut bytes)
        };
        let encoded = unsafe { from_raw_parts(bytes, size) };
        let to = decoded.as_mut_ptr();
        let done = unsafe { WebPDecodeRGBInto(encoded.as_ptr(), size, to, decoded.len(), stride) };
        assert!(!done.is_null());
        let sum = mix(checksum(encoded), checksum(&decoded));
        unsafe { WebPFree(bytes.cast()) };
        sum
    });
}
