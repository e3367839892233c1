//! libsecp256k1 in C, Bitcoin's: signs messages and verifies the signatures.

use programs::{measure, mix};
use secp256k1_sys::types::AlignedType;
use secp256k1_sys::{
    PublicKey, SECP256K1_START_SIGN, SECP256K1_START_VERIFY, Signature,
    secp256k1_context_preallocated_create, secp256k1_context_preallocated_size,
    secp256k1_ec_pubkey_create, secp256k1_ecdsa_sign, secp256k1_ecdsa_signature_serialize_compact,
    secp256k1_ecdsa_verify,
};
use std::ptr::{NonNull, null};

fn main() {
    let flags = SECP256K1_START_SIGN | SECP256K1_START_VERIFY;
    let size = unsafe { secp256k1_context_preallocated_size(flags) };
    let mut room = vec![AlignedType::zeroed(); size.div_ceil(size_of::<AlignedType>())];
    let place = NonNull::new(room.as_mut_ptr().cast()).unwrap();
    let context = unsafe { secp256k1_context_preallocated_create(place, flags) };
    let context = context.as_ptr().cast_const();
    let secret = [7u8; 32];
    let mut public = unsafe { PublicKey::new() };
    assert_eq!(unsafe { secp256k1_ec_pubkey_create(context, &mut public, secret.as_ptr()) }, 1);
    measure(|| {
        (0..40u8).fold(0, |sum, index| {
            let message = [index; 32];
            let mut signature = unsafe { Signature::new() };
            let signed = unsafe {
                let (message, secret) = (message.as_ptr(), secret.as_ptr());
                secp256k1_ecdsa_sign(context, &mut signature, message, secret, None, null())
            };
            assert_eq!(signed, 1);
            let verified = unsafe {
                secp256k1_ecdsa_verify(context, &signature, message.as_ptr(), &public)
            };
            assert_eq!(verified, 1);
            let mut bytes = [0; 64];
            let to = bytes.as_mut_ptr();
            unsafe {
                secp256k1_ecdsa_signature_serialize_compact(context, to, &signature)
            };
            mix(sum, programs::checksum(&bytes))
        })
    });
}
