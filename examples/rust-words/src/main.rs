//! Counts the words of a text: the request's body in, a JSON object out.
//!
//! `the cat the dog` is answered with `{"the":2,"cat":1,"dog":1}`: the most frequent word first,
//! equal ones in alphabetical order. `TOP` in the environment limits how many are listed.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-words: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let top = match std::env::var("TOP") {
        Ok(top) => top.parse().map_err(|_| io::Error::other(format!("TOP is no number: {top}")))?,
        Err(_) => usize::MAX,
    };
    writeln!(io::stdout().lock(), "{}", to_json(&ranked(&text)[..], top))
}

/// The words of `text` in lower case with how often they occur, the most frequent first.
fn ranked(text: &str) -> Vec<(String, usize)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    ranked
}

/// Words are alphanumeric, so there is nothing to escape.
fn to_json(words: &[(String, usize)], top: usize) -> String {
    let fields: Vec<_> =
        words.iter().take(top).map(|(word, count)| format!("\"{word}\":{count}")).collect();
    format!("{{{}}}", fields.join(","))
}
