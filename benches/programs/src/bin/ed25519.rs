//! ed25519-dalek: signing and verifying over Curve25519, with SHA-512.

use ed25519_dalek::{Signer, SigningKey, Verifier};
use programs::{checksum, measure, mix};

fn main() {
    let key = SigningKey::from_bytes(&[7; 32]);
    measure(|| {
        (0..20u8).fold(0, |sum, index| {
            let message = [index; 200];
            let signature = key.sign(&message);
            key.verifying_key().verify(&message, &signature).expect("a good signature");
            mix(sum, checksum(&signature.to_bytes()))
        })
    });
}
