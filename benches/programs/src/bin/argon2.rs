//! argon2: the hash of a password, with a megabyte of memory.

use argon2::{Algorithm, Argon2, Params, Version};
use programs::{checksum, measure};

fn main() {
    let params = Params::new(1024, 4, 1, Some(32)).expect("good parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    measure(|| {
        let mut hash = [0; 32];
        argon2.hash_password_into(b"a password", b"salt and pepper", &mut hash).expect("a hash");
        checksum(&hash)
    });
}
