//! k256: ECDSA over secp256k1 in Rust, signing and verifying.

use k256::ecdsa::signature::{Signer, Verifier};
use k256::ecdsa::{Signature, SigningKey};
use programs::{checksum, measure, mix};

fn main() {
    let key = SigningKey::from_slice(&[7; 32]).expect("a good key");
    measure(|| {
        (0..10u8).fold(0, |sum, index| {
            let message = [index; 100];
            let signature: Signature = key.sign(&message);
            key.verifying_key().verify(&message, &signature).expect("a good signature");
            mix(sum, checksum(&signature.to_bytes()))
        })
    });
}
