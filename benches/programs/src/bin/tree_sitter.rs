//! tree-sitter in C: parses a JavaScript program and walks over its tree.

use programs::{Words, measure, mix};
use tree_sitter::Parser;

fn program() -> String {
    let mut words = Words::new(7, 500);
    let mut text = String::new();
    for number in 0..500 {
        let [a, b, c] = [(); 3].map(|()| words.next_word().to_owned());
        text += &format!(
            "function {a}{number}({b}, _{c}) {{\n  let {b}_{c} = [{b} * 2, \"{a}\", {{ {c}: _{c} }}];\n  \
             for (const x of {b}_{c}) if (x > {number}) {{ return {a}{number}(x + 1, {b}?.{a}); }}\n  \
             return {b}_{c}.map(({a}) => `${{{a}}} {c}`);\n}}\n"
        );
    }
    text
}

fn main() {
    let text = program();
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_javascript::LANGUAGE.into()).expect("the versions agree");
    measure(|| {
        let tree = parser.parse(&text, None).expect("there is a language");
        let mut cursor = tree.walk();
        let mut sum = 0;
        loop {
            let node = cursor.node();
            sum = mix(sum, u64::from(node.kind_id()) << 32 | node.start_byte() as u64);
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return sum;
                }
            }
        }
    });
}
