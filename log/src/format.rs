//! Records as lines: time, level, target, message, fields.

use crate::batch::Record;
use crate::record::{MESSAGE, Value};
use std::fmt::{self, Write};
use tracing::Level;
use wfaas_abi::untrusted;

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// Whether levels have colours, and times are dim.
    pub(crate) colours: bool,
}

impl Format {
    /// Adds a record to `out`.
    pub(crate) fn write(self, record: &Record<'_>, out: &mut String) -> fmt::Result {
        let metadata = record.head.metadata;
        let time = humantime::format_rfc3339_micros(record.head.time);
        let (level, target) = (metadata.level(), metadata.target());
        if self.colours {
            let colour = colour(*level);
            write!(
                out,
                "\x1b[2m{time}\x1b[0m \x1b[{colour}m{level:>5}\x1b[0m \x1b[2m{target}:\x1b[0m"
            )?;
        } else {
            write!(out, "{time} {level:>5} {target}:")?;
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

fn field(name: &str, value: Value, text: &str, out: &mut String) -> fmt::Result {
    if name == MESSAGE {
        return write!(out, "{}", untrusted::indented(text));
    }
    write!(out, "{name}=")?;
    match value {
        Value::Unsigned(number) => write!(out, "{number}"),
        Value::Signed(number) => write!(out, "{number}"),
        Value::Float(number) => write!(out, "{number}"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::String(_) => write!(out, "{}", untrusted::quoted(text)),
        Value::Formatted(_) => write!(out, "{}", untrusted::line(text)),
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
