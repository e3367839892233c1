//! Sizes and times as people write them: `64MiB`, `2s`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes: a number, or a string like `512KiB`, `64MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByteSize(pub u64);

/// A length of time: a number of seconds, or a string like `250ms`, `2s`, `1min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// In milliseconds, at least one.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// The longest time that makes sense as a limit, in seconds: a day.
const MAX_SECONDS: f64 = 86_400.0;

const BYTE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

const TIME_UNITS: &[(&str, f64)] =
    &[("ms", 0.001), ("s", 1.0), ("", 1.0), ("min", 60.0), ("h", 3600.0)];

/// A length of time as a number of milliseconds.
#[derive(Debug, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Millis(u64);

impl TryFrom<u64> for Millis {
    type Error = &'static str;

    fn try_from(millis: u64) -> Result<Millis, &'static str> {
        if millis > 0 { Ok(Millis(millis)) } else { Err("has to be greater than 0") }
    }
}

impl From<Millis> for Option<Span> {
    fn from(Millis(millis): Millis) -> Option<Span> {
        Some(Span(Duration::from_millis(millis)))
    }
}

/// Writes a time as the number that [`Millis`] reads.
pub(super) fn as_millis<S: Serializer>(time: &Option<Span>, to: S) -> Result<S::Ok, S::Error> {
    time.map(Span::millis).serialize(to)
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a size: write bytes, or a number with KiB, MiB or GiB");
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor = lookup(BYTE_UNITS, unit).ok_or_else(wrong)?;
        number.checked_mul(factor).map(ByteSize).ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a time: write seconds, or a number with ms, s, min or h");
        let (number, unit) = split_unit(text);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        seconds(number * lookup(TIME_UNITS, unit).ok_or_else(wrong)?)
    }
}

fn seconds(seconds: f64) -> Result<Span, String> {
    if seconds > 0.0 && seconds <= MAX_SECONDS {
        Ok(Span(Duration::from_secs_f64(seconds)))
    } else {
        Err(format!("a time limit is more than 0 and at most {MAX_SECONDS} seconds"))
    }
}

/// Splits `64 MiB` into `64` and `MiB`.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

fn lookup<T: Copy>(units: &[(&str, T)], unit: &str) -> Option<T> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size: a number of bytes, or a string like \"64MiB\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                let negative = || E::custom(format!("`{bytes}` is not a size: it is negative"));
                u64::try_from(bytes).map(ByteSize).map_err(|_| negative())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time: a number of seconds, or a string like \"250ms\"")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
                seconds(number as f64).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Span, E> {
                seconds(number as f64).map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Span, E> {
                seconds(number).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<ByteSize>().map(|size| size.0);
        assert_eq!(size("64MiB"), Ok(67_108_864));
        assert_eq!(size("64 MiB"), Ok(67_108_864));
        assert_eq!(size("123"), Ok(123));
        assert_eq!(size("2kB"), Ok(2000));
        for wrong in ["", "MiB", "-1", "1.5MiB", "64mib", "1e3", "99999999999GiB", "🦀"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times() {
        let time = |text: &str| text.parse::<Span>().map(|span| span.0);
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2"), Ok(Duration::from_secs(2)));
        assert_eq!(time("1min"), Ok(Duration::from_secs(60)));
        for wrong in ["", "0", "0s", "-1s", "2 weeks", "inf", "nan", "25h", "1.2.3s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
