//! syn: parses a Rust program and prints its tree.

use programs::{Words, checksum, measure};

fn program() -> String {
    let mut words = Words::new(23, 300);
    let mut text = String::new();
    for number in 0..120 {
        let [a, b] = [(); 2].map(|()| format!("n_{}", words.next_word()));
        text += &format!(
            "pub fn {a}_{number}<T: Clone>({a}: &[T], {b}: Option<u32>) -> Result<Vec<T>, String> {{\n\
             let mut all = Vec::new();\nfor (i, x) in {a}.iter().enumerate().filter(|(i, _)| *i > 3) {{\n\
             match {b} {{ Some(n) if n as usize == i => all.push(x.clone()), None => return Err(format!(\"{{}}\", i)), _ => {{}} }}\n\
             }}\nOk(all)\n}}\n"
        );
    }
    text
}

fn main() {
    let text = program();
    measure(|| {
        let file = syn::parse_file(&text).expect("Rust");
        checksum(format!("{:?}", file.items).as_bytes())
    });
}
