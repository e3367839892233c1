//! toml: reads a configuration and writes it again.

use programs::{Words, checksum, measure};
use toml::Table;

fn document() -> String {
    let mut words = Words::new(22, 1000);
    let mut text = String::new();
    for number in 0..600 {
        let (name, line) = (words.next_word().to_owned(), words.text(40));
        let line = line.trim_end().replace('\n', " ");
        text += &format!("[section.{name}-{number}]\nname = \"{line}\"\ncount = {number}\n");
        text += &format!("ratio = {number}.25\nlist = [1, 2, {number}]\ninner = {{ on = true }}\n\n");
    }
    text
}

fn main() {
    let text = document();
    measure(|| {
        let table: Table = toml::from_str(&text).expect("TOML");
        checksum(toml::to_string(&table).expect("a table").as_bytes())
    });
}
