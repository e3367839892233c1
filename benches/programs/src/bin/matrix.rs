//! nalgebra: products, decompositions and solutions of matrices.

use nalgebra::DMatrix;
use programs::{Random, measure, mix};

const SIZE: usize = 96;

fn main() {
    let mut random = Random::new(20);
    let a = DMatrix::from_fn(SIZE, SIZE, |_, _| random.unit() - 0.5);
    let b = DMatrix::from_fn(SIZE, SIZE, |_, _| random.unit() - 0.5);
    measure(|| {
        let product = &a * &b;
        let solution = a.clone().lu().solve(&b).expect("not singular");
        let (q, r) = product.clone().qr().unpack();
        let all = [product, solution, q, r];
        // Machine code of the library's own for processors with fused operations rounds less often.
        let rounded = |value: &f64| (value * 1e4).round() as i64;
        let values = all.iter().flat_map(|matrix| matrix.iter());
        values.fold(0, |sum, value| mix(sum, rounded(value).cast_unsigned()))
    });
}
