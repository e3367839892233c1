//! png: encodes a picture with filters, and decodes it.

use programs::{checksum, measure, mix};

const SIZE: u32 = 256;

fn encode(picture: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE, SIZE);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_adaptive_filter(png::AdaptiveFilterType::Adaptive);
    encoder.write_header().unwrap().write_image_data(picture).expect("the right size");
    bytes
}

fn main() {
    let picture = programs::picture(SIZE as usize, SIZE as usize);
    measure(|| {
        let bytes = encode(&picture);
        let mut reader = png::Decoder::new(&bytes[..]).read_info().expect("a picture");
        let mut decoded = vec![0; reader.output_buffer_size()];
        reader.next_frame(&mut decoded).expect("a frame");
        assert_eq!(decoded, picture);
        mix(checksum(&bytes), checksum(&decoded))
    });
}
