//! The result of an action, in what it wrote.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The lines before the last one, and the last one, without line ends behind it.
pub(super) fn split(stdout: &[u8]) -> (&[u8], &[u8]) {
    let text = stdout.trim_ascii_end();
    let start = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    text.split_at(start)
}

/// A result as it is written: an object or an array.
pub(in crate::protocols) fn parse(line: &[u8]) -> Option<&str> {
    let value: &RawValue = serde_json::from_slice(line).ok()?;
    is_result(value).then_some(value.get())
}

fn is_result(value: &RawValue) -> bool {
    value.get().starts_with(['{', '['])
}

/// A buffer of a guest: one of both is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OkOrErr<'a> {
    #[serde(rename = "Ok", borrow, default)]
    ok: Option<&'a RawValue>,
    #[serde(rename = "Err", borrow, default)]
    err: Option<&'a RawValue>,
}

/// An error of a guest that is an object with `error` already.
#[derive(Deserialize)]
struct WithError {
    #[serde(rename = "error")]
    _error: serde::de::IgnoredAny,
}

/// The result in `{"Ok": result}` or `{"Err": error}`; an error becomes an object with `error`.
pub(super) fn parse_ok_or_err(buffer: &[u8]) -> Option<Cow<'_, str>> {
    // A struct is read from an array, too.
    if !buffer.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    match serde_json::from_slice(buffer).ok()? {
        OkOrErr { ok: Some(result), err: None } => {
            is_result(result).then_some(Cow::Borrowed(result.get()))
        }
        OkOrErr { ok: None, err: Some(error) } => {
            let error = error.get();
            let is_whole =
                error.starts_with('{') && serde_json::from_str::<WithError>(error).is_ok();
            Some(match is_whole {
                true => Cow::Borrowed(error),
                false => Cow::Owned(format!("{{\"error\":{error}}}")),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_result() {
        let split = |stdout: &'static str| {
            let (lines, last) = split(stdout.as_bytes());
            (std::str::from_utf8(lines).unwrap(), std::str::from_utf8(last).unwrap())
        };
        assert_eq!(split("{}"), ("", "{}"));
        assert_eq!(split("a\nb\n\n{}\r\n\n"), ("a\nb\n\n", "{}"));
        assert_eq!(split(" \n"), ("", ""));
    }

    #[test]
    fn results_are_objects_or_arrays() {
        assert_eq!(parse(br#" {"a": 1} "#), Some(r#"{"a": 1}"#));
        assert_eq!(parse(b"[1]"), Some("[1]"));
        for none in ["", "1", "null", "\"{}\"", "{} {}", "{"] {
            assert_eq!(parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_buffer_says_whether_it_is_an_error() {
        let parse = |text: &'static str| parse_ok_or_err(text.as_bytes());
        assert_eq!(parse(r#"{"Ok": {"a": 1}}"#).unwrap(), r#"{"a": 1}"#);
        assert_eq!(parse(r#"{"Err": {"error": "x"}}"#).unwrap(), r#"{"error": "x"}"#);
        assert_eq!(parse(r#"{"Err": "x"}"#).unwrap(), r#"{"error":"x"}"#);
        assert_eq!(parse(r#"{"Err": ["x"]}"#).unwrap(), r#"{"error":["x"]}"#);
        for none in
            ["", "{}", r#"{"Ok": 1}"#, r#"{"a": {}}"#, r#"{"Ok": {}, "Err": {}}"#, r#"[{"a": 1}]"#]
        {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
