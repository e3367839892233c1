//! pulldown-cmark: renders Markdown as HTML.

use programs::{Words, checksum, measure};
use pulldown_cmark::{Options, Parser, html};

fn document() -> String {
    let mut words = Words::new(9, 2000);
    let mut text = String::new();
    for number in 0..250 {
        let (word, line, long) = (words.next_word().to_owned(), words.text(60), words.text(400));
        text += &format!("## {word} {number}\n\n{long}\n\n* *{word}* {line}\n* `{word}`\n\n");
        text += &format!("> [{word}](https://{word}.example/{number}) **{line}**\n\n");
        text += &format!("| a | b |\n|---|---|\n| {word} | {number} |\n\n```\n{line}```\n\n");
    }
    text
}

fn main() {
    let text = document();
    measure(|| {
        let mut page = String::new();
        html::push_html(&mut page, Parser::new_ext(&text, Options::all()));
        checksum(page.as_bytes())
    });
}
