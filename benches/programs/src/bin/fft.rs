//! rustfft: transforms of sizes that are powers of two, products, and primes.

use programs::{Random, measure, mix};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

fn main() {
    let mut planner = FftPlanner::<f64>::new();
    let mut random = Random::new(19);
    let ffts = [4096, 3000, 1009].map(|size| planner.plan_fft_forward(size));
    let inputs = ffts.each_ref().map(|fft| -> Vec<Complex<f64>> {
        (0..fft.len()).map(|_| Complex::new(random.unit(), random.unit())).collect()
    });
    measure(|| {
        let mut sum = 0;
        for _ in 0..8 {
            for (fft, input) in ffts.iter().zip(&inputs) {
                let mut buffer = input.clone();
                fft.process(&mut buffer);
                // Sines are not the same in all libraries.
                let rounded = buffer.iter().step_by(64).map(|value| (value.re * 1e4).round() as i64);
                sum = rounded.fold(sum, |sum, value| mix(sum, value.cast_unsigned()));
            }
        }
        sum
    });
}
