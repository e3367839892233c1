//! Records as lines: time, level, target, message, fields.

use crate::batch::Record;
use crate::record::{MESSAGE, Value};
use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::Level;
use wfaas_abi::untrusted::{self, MAX_LINE};

/// How lines look.
#[derive(Debug)]
pub(crate) struct Format {
    /// Whether levels have colours, and times are dim.
    colours: bool,
    seconds: Seconds,
}

/// The second of the last line as text, up to the point before its microseconds: many lines have the same.
#[derive(Debug, Default)]
struct Seconds {
    since_epoch: u64,
    text: String,
}

impl Format {
    pub(crate) fn new(colours: bool) -> Format {
        Format { colours, seconds: Seconds::default() }
    }

    /// Adds a record to `out`.
    pub(crate) fn write(&mut self, record: &Record<'_>, out: &mut String) -> fmt::Result {
        let metadata = record.head.metadata;
        let (level, target) = (*metadata.level(), metadata.target());
        if self.colours {
            out.push_str("\x1b[2m");
            self.seconds.push(record.head.time, out);
            let (colour, level) = (colour(level), padded(level));
            write!(out, "\x1b[0m \x1b[{colour}m{level}\x1b[0m \x1b[2m{target}:\x1b[0m")?;
        } else {
            self.seconds.push(record.head.time, out);
            [" ", padded(level), " ", target, ":"].iter().for_each(|part| out.push_str(part));
        }
        // The message comes first, wherever the event has it.
        for wanted in [true, false] {
            let mut rest = record.text;
            for (name, value) in record.values {
                let (text, behind) = rest.split_at(value.text_bytes());
                rest = behind;
                if (*name == MESSAGE) == wanted {
                    out.push(' ');
                    field(name, *value, text, out)?;
                }
            }
        }
        out.push('\n');
        Ok(())
    }
}

impl Seconds {
    /// Adds a time to `out`, by RFC 3339 and with microseconds.
    fn push(&mut self, time: SystemTime, out: &mut String) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.since_epoch || self.text.is_empty() {
            self.since_epoch = since.as_secs();
            self.text = humantime::format_rfc3339_seconds(time.max(UNIX_EPOCH)).to_string();
            self.text.pop(); // the Z
        }
        let mut digits = *b".000000Z";
        let mut micros = since.subsec_micros();
        for digit in digits[1..7].iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        out.push_str(&self.text);
        out.extend(digits.map(char::from));
    }
}

fn field(name: &str, value: Value, text: &str, out: &mut String) -> fmt::Result {
    let is_plain = text.len() <= MAX_LINE && untrusted::is_plain_ascii(text);
    if name == MESSAGE {
        if is_plain {
            out.push_str(text);
            return Ok(());
        }
        return write!(out, "{}", untrusted::indented(text));
    }
    out.push_str(name);
    out.push('=');
    match value {
        Value::Unsigned(number) => out.push_str(itoa::Buffer::new().format(number)),
        Value::Signed(number) => out.push_str(itoa::Buffer::new().format(number)),
        Value::Float(number) => write!(out, "{number}")?,
        Value::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Value::String(_) if is_plain => {
            ["\"", text, "\""].iter().for_each(|part| out.push_str(part))
        }
        Value::String(_) => write!(out, "{}", untrusted::quoted(text))?,
        Value::Formatted(_) if is_plain => out.push_str(text),
        Value::Formatted(_) => write!(out, "{}", untrusted::line(text))?,
    }
    Ok(())
}

/// A level with the width of the longest.
fn padded(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => " WARN",
        Level::INFO => " INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// The parameter of the escape sequence for a level's colour.
fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_of_the_library_in_any_order() {
        let mut seconds = Seconds::default();
        let offsets =
            [0, 1, 999_999, 1_000_000, 1_000_001, 86_399_999_999, 5, 1_795_759_999_123_456];
        for micros in offsets {
            let time = UNIX_EPOCH + Duration::from_micros(micros);
            let mut out = "x".to_owned();
            seconds.push(time, &mut out);
            assert_eq!(out, format!("x{}", humantime::format_rfc3339_micros(time)));
        }
    }
}
