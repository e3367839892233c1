//! roaring: unions, intersections and differences of compressed bitmaps.

use programs::{Random, measure, mix};
use roaring::RoaringBitmap;

fn main() {
    let mut random = Random::new(25);
    let mut bitmap = |count: u64, end: u64| -> RoaringBitmap {
        (0..count).map(|_| random.below(end) as u32).collect()
    };
    let maps = [bitmap(30_000, 3_000_000), bitmap(60_000, 400_000), bitmap(5_000, 3_000_000)];
    measure(|| {
        let [a, b, c] = &maps;
        let both = a | b;
        let sets = [&both & c, &both - c, a ^ c, b & a];
        let mut sum = 0;
        for set in &sets {
            sum = mix(sum, set.len());
            sum = set.iter().fold(sum, |sum, value| mix(sum, u64::from(value)));
        }
        sum
    });
}
