//! sha2: SHA-256 and SHA-512 of a megabyte each.

use programs::{Random, checksum, measure, mix};
use sha2::{Digest, Sha256, Sha512};

fn main() {
    let bytes = Random::new(10).bytes(1 << 20);
    measure(|| mix(checksum(&Sha256::digest(&bytes)), checksum(&Sha512::digest(&bytes))));
}
