//! rust_decimal: interest on accounts, with products, quotients and rounding.

use programs::{checksum, measure, mix};
use rust_decimal::Decimal;

fn main() {
    measure(|| {
        let mut sum = 0;
        for account in 1..400i64 {
            let mut balance = Decimal::new(account * 10_007, 2);
            let rate = Decimal::new(account % 700, 4) / Decimal::from(12);
            for month in 1..24i64 {
                balance += (balance * rate).round_dp(6);
                balance -= Decimal::new(month * 17, 2) / Decimal::from(account);
            }
            sum = mix(sum, checksum(&balance.round_dp(8).serialize()));
        }
        sum
    });
}
