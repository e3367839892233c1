//! num-bigint: digits of e as a fraction of large numbers, and a large power.

use num_bigint::BigUint;
use programs::{checksum, measure, mix};

fn main() {
    measure(|| {
        let scale = BigUint::from(10u32).pow(1500);
        let (mut term, mut sum, mut n) = (scale.clone(), scale.clone(), 1u32);
        while term > BigUint::ZERO {
            term /= n;
            sum += &term;
            n += 1;
        }
        let modulus = (BigUint::from(1u32) << 521) - 1u32;
        let power = BigUint::from(3u32).modpow(&(&modulus >> 2), &modulus);
        mix(checksum(sum.to_string().as_bytes()), checksum(&power.to_bytes_le()))
    });
}
