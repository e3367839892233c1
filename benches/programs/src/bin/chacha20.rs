//! chacha20poly1305: seals and opens messages.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use programs::{Random, checksum, measure, mix};

fn main() {
    let plain = Random::new(11).bytes(64 << 10);
    let cipher = ChaCha20Poly1305::new(Key::from_slice(&[9; 32]));
    measure(|| {
        (0..16u8).fold(0, |sum, index| {
            let nonce = Nonce::from([index; 12]);
            let mut message = plain.clone();
            cipher.encrypt_in_place(&nonce, b"head", &mut message).expect("there is room");
            let sum = mix(sum, checksum(&message));
            cipher.decrypt_in_place(&nonce, b"head", &mut message).expect("the same key");
            mix(sum, checksum(&message))
        })
    });
}
