//! Text that a module, a guest or a client chose, as logs, errors and terminals show it: without
//! control characters, and no longer than a limit.
//!
//! A terminal obeys escape sequences, and a reader of a log takes a line for a record; so names are
//! [`name`]d where they are made part of a message, and each place that writes messages (the command
//! line, the log, answers) makes them [`line()`]s or [`text`]s once more. Text that was escaped is not
//! changed by being escaped again, so nobody has to know whether it was.
//!
//! ```
//! use wfaas_abi::untrusted;
//!
//! assert_eq!(untrusted::name("\u{1b}[31mred\n").to_string(), r"\u{1b}[31mred\n");
//! assert_eq!(untrusted::text("four").within(2).to_string(), "fo…");
//! assert_eq!(untrusted::name(&"x".repeat(1000)).to_string().len(), untrusted::MAX_NAME + "…".len());
//! ```

use std::fmt::{self, Display, Formatter, Write};

/// Most bytes shown of a name.
pub const MAX_NAME: usize = 256;

/// Most bytes shown of a line.
pub const MAX_LINE: usize = 4096;

/// Most bytes shown of a text of several lines, as of an error with a backtrace.
pub const MAX_TEXT: usize = 32 << 10;

/// A value with text that is escaped and bounded when it is shown. A text that is too long ends with an
/// ellipsis, and the rest of it is not even made.
#[derive(Debug, Clone, Copy)]
pub struct Untrusted<T> {
    value: T,
    rules: Rules,
    limit: usize,
}

/// How characters are shown that are harmless in some places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Ends of lines and tabs are escaped.
    Name,
    /// Ends of lines are escaped.
    Line,
    /// In quotation marks, with those inside escaped.
    Quoted,
    /// Nothing else is escaped.
    Text,
    /// Lines after the first one begin with spaces.
    Indented,
}

/// A name in a message: one line of at most [`MAX_NAME`] bytes, without tabs.
pub fn name(text: &str) -> Untrusted<&str> {
    Untrusted { value: text, rules: Rules::Name, limit: MAX_NAME }
}

/// One line of at most [`MAX_LINE`] bytes.
pub fn line<T: Display>(value: T) -> Untrusted<T> {
    Untrusted { value, rules: Rules::Line, limit: MAX_LINE }
}

/// One line in quotation marks, of at most [`MAX_LINE`] bytes: a value among others.
pub fn quoted<T: Display>(value: T) -> Untrusted<T> {
    Untrusted { value, rules: Rules::Quoted, limit: MAX_LINE }
}

/// Lines of together at most [`MAX_TEXT`] bytes.
pub fn text<T: Display>(value: T) -> Untrusted<T> {
    Untrusted { value, rules: Rules::Text, limit: MAX_TEXT }
}

/// The same with all lines but the first one indented, so that none looks like a new record.
pub fn indented<T: Display>(value: T) -> Untrusted<T> {
    Untrusted { value, rules: Rules::Indented, limit: MAX_TEXT }
}

impl<T> Untrusted<T> {
    /// The same with at most `limit` bytes.
    pub fn within(self, limit: usize) -> Untrusted<T> {
        Untrusted { limit: self.limit.min(limit), ..self }
    }
}

impl<T: Display> Display for Untrusted<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mark = if self.rules == Rules::Quoted { "\"" } else { "" };
        f.write_str(mark)?;
        let mut escaper = Escaper { out: f, rules: self.rules, room: self.limit, full: false };
        let written = write!(escaper, "{}", self.value);
        let full = escaper.full;
        match written {
            Err(error) if !full => return Err(error),
            _ => f.write_str(if full { "…" } else { "" })?,
        }
        f.write_str(mark)
    }
}

/// Whether a text consists of characters that are shown as they are by all rules, and quickly seen to be:
/// most values are words and numbers.
pub fn is_plain_ascii(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    // Without a way out in between, it is a few instructions for many bytes.
    text.bytes().fold(true, |all, byte| all & is_plain(byte))
}

/// Escapes text that is written to it, and refuses text beyond its room.
struct Escaper<'a, 'f> {
    out: &'a mut Formatter<'f>,
    rules: Rules,
    room: usize,
    full: bool,
}

impl Escaper<'_, '_> {
    /// Writes text that needs no escape.
    fn put(&mut self, text: &str) -> fmt::Result {
        let fits = &text[..text.floor_char_boundary(self.room)];
        self.out.write_str(fits)?;
        self.room -= fits.len();
        self.full = fits.len() < text.len();
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }

    /// Writes an escape, or none of it.
    fn escape(&mut self, c: char) -> fmt::Result {
        let escaped = c.escape_default();
        if escaped.len() > self.room {
            self.full = true;
            return Err(fmt::Error);
        }
        self.room -= escaped.len();
        write!(self.out, "{escaped}")
    }
}

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| !is_plain(c)) {
            self.put(&rest[..at])?;
            let c = rest[at..].chars().next().expect("a character was found there");
            rest = &rest[at + c.len_utf8()..];
            match (c, self.rules) {
                ('\n', Rules::Indented) => self.put("\n    ")?,
                ('\n', Rules::Text) => self.put("\n")?,
                ('\t', Rules::Line | Rules::Quoted | Rules::Text | Rules::Indented) => {
                    self.put("\t")?;
                }
                ('"' | '\\', Rules::Quoted) => self.escape(c)?,
                ('"', _) => self.put("\"")?,
                ('\\', _) => self.put("\\")?,
                _ => self.escape(c)?,
            }
        }
        self.put(rest)
    }
}

/// Whether a character is shown as it is everywhere.
fn is_plain(c: char) -> bool {
    match c {
        '"' | '\\' => false,
        ' '..='~' => true,
        _ => !(c.is_control() || is_separator(c) || changes_order(c)),
    }
}

/// Whether a character ends a line or a paragraph for programs that follow Unicode.
fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character changes the order in which others are shown, or is shown as nothing but
/// makes names differ: the formatting characters of Unicode Standard Annex 9, and tags.
fn changes_order(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a terminal, a log's reader or an eye may be deceived by.
    const HOSTILE: &str = "a\u{1b}[31m\u{9b}2J\r\u{7f}\u{8}\0\u{202e}\u{2028}\u{feff}z";

    #[test]
    fn hostile_characters_are_escaped_under_all_rules() {
        let expected = r"a\u{1b}[31m\u{9b}2J\r\u{7f}\u{8}\u{0}\u{202e}\u{2028}\u{feff}z";
        assert_eq!(name(HOSTILE).to_string(), expected);
        assert_eq!(line(HOSTILE).to_string(), expected);
        assert_eq!(text(HOSTILE).to_string(), expected);
        assert_eq!(indented(HOSTILE).to_string(), expected);
        assert_eq!(quoted(HOSTILE).to_string(), format!("\"{expected}\""));
    }

    #[test]
    fn lines_tabs_and_quotation_marks_are_as_the_place_needs_them() {
        let written = "a\tb\n\"c\\";
        assert_eq!(name(written).to_string(), "a\\tb\\n\"c\\");
        assert_eq!(line(written).to_string(), "a\tb\\n\"c\\");
        assert_eq!(quoted(written).to_string(), "\"a\tb\\n\\\"c\\\\\"");
        assert_eq!(text(written).to_string(), written);
        assert_eq!(indented(written).to_string(), "a\tb\n    \"c\\");
    }

    #[test]
    fn plain_ascii_is_shown_as_it_is_and_nothing_else_is_taken_for_it() {
        // The interpreter is slow.
        let last = if cfg!(miri) { '\u{100}' } else { '\u{3100}' };
        for c in '\0'..=last {
            let text = format!("a{c}b");
            let shown =
                [name(&text).to_string(), line(&text).to_string(), quoted(&text).to_string()];
            let is_same = shown[0] == text && shown[1] == text && shown[2] == format!("\"{text}\"");
            assert_eq!(is_plain_ascii(&text), c.is_ascii() && is_same, "{c:?}");
        }
        assert!(is_plain_ascii(""));
    }

    #[test]
    fn other_languages_are_shown() {
        for word in ["naïve", "日本\u{3000}語", "नमस्ते", "👩\u{200d}🚀", "e\u{301}"]
        {
            assert_eq!(name(word).to_string(), word);
        }
    }

    #[test]
    fn escaped_text_stays_as_it_is() {
        let once = name(HOSTILE).to_string();
        assert_eq!(text(line(name(&once))).to_string(), once);
    }

    #[test]
    fn a_text_has_its_limit_escapes_included() {
        for (of, bytes) in [("x", 1), ("é", 2), ("\u{1b}", 6), ("\u{e0001}", 9)] {
            let shown = name(&of.repeat(MAX_NAME + 1)).to_string();
            let whole = MAX_NAME / bytes;
            assert_eq!(shown.len(), whole * bytes + "…".len(), "{shown}");
            assert!(shown.ends_with('…'));
        }
        assert_eq!(name(&"x".repeat(MAX_NAME)).to_string().len(), MAX_NAME);
    }

    /// Writes until it is refused.
    struct Endless;

    impl Display for Endless {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("again and ")?;
            }
        }
    }

    #[test]
    fn nothing_is_made_beyond_the_limit() {
        assert_eq!(text(Endless).to_string().len(), MAX_TEXT + "…".len());
        assert_eq!(quoted(Endless).to_string().len(), MAX_LINE + "\"…\"".len());
    }
}
