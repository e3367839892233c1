//! An OpenWhisk action: greets whoever the parameter `name` says.

use std::io::Read;

fn main() {
    let mut parameters = String::new();
    std::io::stdin().read_to_string(&mut parameters).expect("parameters are text");
    let name = parameter(&parameters, "name").unwrap_or("stranger");
    eprintln!("greeting somebody"); // the log of the activation
    print!("{{\"greeting\": \"Hello {name}!\"}}"); // the last line is the result
}

/// The value of a string in a JSON object, as it is written there. Real actions have a crate for this.
fn parameter<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\""))?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let mut escaped = false;
    let end = value.find(|c: char| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    })?;
    Some(&value[..end])
}
