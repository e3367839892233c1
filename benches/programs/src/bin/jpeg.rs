//! jpeg-encoder and jpeg-decoder: a picture there and back.

use jpeg_decoder::Decoder;
use jpeg_encoder::{ColorType, Encoder};
use programs::{checksum, measure, mix};

const SIZE: u16 = 256;

fn main() {
    let picture = programs::picture(SIZE.into(), SIZE.into());
    measure(|| {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 80).encode(&picture, SIZE, SIZE, ColorType::Rgb).expect("a vector");
        let decoded = Decoder::new(&bytes[..]).decode().expect("a picture");
        mix(checksum(&bytes), checksum(&decoded))
    });
}
