//! sqlparser: parses statements and writes them again.

use programs::{Words, checksum, measure, mix};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

fn statements() -> String {
    let mut words = Words::new(21, 300);
    let mut text = String::new();
    for number in 0..300 {
        let [a, b, c] = [(); 3].map(|()| format!("t_{}", words.next_word()));
        text += &format!(
            "SELECT {a}.x, COUNT(*) AS n, CASE WHEN {b}.y > {number} THEN 'a' ELSE '{c}' END \
             FROM {a} LEFT JOIN {b} ON {a}.id = {b}.id WHERE {a}.z IN (1, 2, {number}) AND NOT \
             EXISTS (SELECT 1 FROM {c} WHERE {c}.k = {b}.k) GROUP BY {a}.x ORDER BY n DESC LIMIT 10;\n"
        );
    }
    text
}

fn main() {
    let text = statements();
    measure(|| {
        let parsed = Parser::parse_sql(&GenericDialect {}, &text).expect("SQL");
        parsed.iter().fold(0, |sum, one| mix(sum, checksum(one.to_string().as_bytes())))
    });
}
