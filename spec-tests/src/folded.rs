//! The folded form of legacy `try` instructions, which the parser of scripts does not know.

/// An open parenthesis.
enum Open {
    /// Of anything else.
    Other,
    /// Of a `try`, and whether it has a `delegate`.
    Try { delegates: bool },
    /// Of a part of a `try`.
    Part,
}

/// A script with folded `try` instructions as plain ones: `(try (do A) (catch $t B))` becomes
/// `try A catch $t B end`. Lines stay where they are.
pub(crate) fn unfold(script: &str) -> String {
    let mut text = String::with_capacity(script.len());
    let mut open: Vec<Open> = Vec::new();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            ';' if rest.starts_with(";;") => rest.find('\n').unwrap_or(rest.len()),
            '(' => {
                let word = word(&rest[1..]);
                let (kind, shown) = opened(word, open.last_mut());
                open.push(kind);
                text.push_str(shown);
                rest = &rest[1 + if shown == "(" { 0 } else { word.len() }..];
                continue;
            }
            ')' => {
                text.push_str(match open.pop() {
                    Some(Open::Try { delegates: false }) => " end ",
                    Some(Open::Try { .. } | Open::Part) => " ",
                    _ => ")",
                });
                rest = &rest[1..];
                continue;
            }
            other => other.len_utf8(),
        };
        text.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    text
}

/// What the parenthesis before `word` is, and what takes the place of both, or of the parenthesis
/// alone if that stays.
fn opened(word: &str, around: Option<&mut Open>) -> (Open, &'static str) {
    match (word, around) {
        ("try", _) => (Open::Try { delegates: false }, " try"),
        ("do", Some(Open::Try { .. })) => (Open::Part, " "),
        ("catch", Some(Open::Try { .. })) => (Open::Part, " catch"),
        ("catch_all", Some(Open::Try { .. })) => (Open::Part, " catch_all"),
        ("delegate", Some(Open::Try { delegates })) => {
            *delegates = true;
            (Open::Part, " delegate")
        }
        _ => (Open::Other, "("),
    }
}

/// The word that `text` starts with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The bytes of the string that `text` starts with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(place, _)| place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        unfold(text).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn instructions_lose_their_parentheses() {
        let text = "(func (try $l (result i32)\n (do (try (do (nop)) (delegate $l)) (i32.const 1))
            (catch $e (drop)) (catch_all)))";
        let plain = "(func try $l (result i32) try (nop) delegate $l (i32.const 1) catch $e (drop)
            catch_all end )";
        assert_eq!(words(text), plain.split_whitespace().collect::<Vec<_>>());
        assert_eq!(unfold(text).lines().count(), text.lines().count());
    }

    #[test]
    fn everything_else_stays() {
        let text = r#"(try_table (catch $e $l) (catch_all $l)) "(try (do \")" ;; (try (do
            (do) (catch) (tryst)"#;
        assert_eq!(unfold(text), text);
    }
}
