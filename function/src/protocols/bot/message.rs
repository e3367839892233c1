//! A message to a bot, out of a request's body.

use crate::request::Request;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A message: the arguments of the bot's function.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    /// Who sent it: a name, or an object as JSON.
    pub(super) user: String,
    /// What the bot returned as `step` before, for its own use.
    pub(super) step: String,
}

/// The names of a form's fields; the first one that is there counts.
const TEXT: &[&str] = &["text", "msg"];
const USER: &[&str] = &["username", "user_name", "user_info"];
const STEP: &[&str] = &["step_data", "step"];

impl Message {
    /// Takes the message out of a body: a JSON object, a form, or else the text itself.
    pub(super) fn of(request: &mut Request) -> Result<Message, &'static str> {
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let body = request.body_mut().take();
        match essence.as_str() {
            "application/json" => of_json(&body),
            "application/x-www-form-urlencoded" => of_form(&body),
            _ => match String::from_utf8(body) {
                Ok(text) => Ok(Message { text, ..Message::default() }),
                Err(_) => Err("a message has to be text in UTF-8"),
            },
        }
    }
}

const NO_JSON: &str = "a message in JSON has to be an object with the string `text`";
const NO_FORM: &str = "a message in a form has to have the field `text`, in UTF-8";

/// The fields that are looked at, as they are written.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, alias = "msg")]
    text: Cow<'a, str>,
    #[serde(borrow, default, alias = "user_name", alias = "user_info")]
    username: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "step")]
    step_data: Option<&'a RawValue>,
}

fn of_json(body: &[u8]) -> Result<Message, &'static str> {
    let fields: Fields<'_> = serde_json::from_slice(body).map_err(|_| NO_JSON)?;
    let as_text = |value: Option<&RawValue>| {
        let written = value.map_or("null", RawValue::get);
        match serde_json::from_str::<Option<String>>(written) {
            Ok(text) => text.unwrap_or_default(),
            Err(_) => written.to_owned(),
        }
    };
    let Fields { text, username, step_data } = fields;
    Ok(Message { text: text.into_owned(), user: as_text(username), step: as_text(step_data) })
}

fn of_form(body: &[u8]) -> Result<Message, &'static str> {
    let mut fields = Vec::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        let decoded = decode(&pair[..equals]).zip(decode(value)).ok_or(NO_FORM)?;
        fields.push(decoded);
    }
    let take = |names: &[&str]| {
        let named = |name: &&str| fields.iter().find(|(field, _)| field == name);
        names.iter().find_map(named).map(|(_, value)| value.clone())
    };
    let text = take(TEXT).ok_or(NO_FORM)?;
    Ok(Message { text, user: take(USER).unwrap_or_default(), step: take(STEP).unwrap_or_default() })
}

/// Decodes a piece of a form (WHATWG URL, `application/x-www-form-urlencoded`); `None` if it is not
/// UTF-8. A `%` without two digits stands for itself.
fn decode(piece: &[u8]) -> Option<String> {
    let digit = |at: usize| (*piece.get(at)? as char).to_digit(16);
    let (mut bytes, mut at) = (Vec::with_capacity(piece.len()), 0);
    while let Some(byte) = piece.get(at) {
        let escaped = (*byte == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        match (byte, escaped) {
            (_, Some((high, low))) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', None) => bytes.push(b' '),
            (byte, None) => bytes.push(*byte),
        }
        at += 1;
    }
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(_) => String::from_utf8(bytes).ok(),
        Cow::Owned(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Body;

    fn message(content_type: &str, body: &str) -> Result<[String; 3], &'static str> {
        let request = http::Request::post("/").header(CONTENT_TYPE, content_type);
        let request = request.body(Body::complete(body)).unwrap();
        Message::of(&mut request.into()).map(|Message { text, user, step }| [text, user, step])
    }

    #[test]
    fn json_has_fields() {
        let json = |body| message("application/json; charset=utf-8", body);
        assert_eq!(json(r#"{"text": "a\nb"}"#), Ok(["a\nb", "", ""].map(str::to_owned)));
        let all = r#"{"msg": "m", "user_info": {"name": "ada"}, "step_data": 7, "more": []}"#;
        assert_eq!(json(all), Ok(["m", r#"{"name": "ada"}"#, "7"].map(str::to_owned)));
        for wrong in ["", "[]", "{}", r#"{"text": 1}"#, r#"{"text": "a"} x"#, "text"] {
            assert_eq!(json(wrong), Err(NO_JSON), "{wrong}");
        }
    }

    #[test]
    fn forms_are_decoded() {
        let form = |body| message("application/x-www-form-urlencoded", body);
        let all = "user_name=ada&text=2%2B2+%C3%A4&step_data=%zz%";
        assert_eq!(form(all), Ok(["2+2 ä", "ada", "%zz%"].map(str::to_owned)));
        assert_eq!(form("text"), Ok(["", "", ""].map(str::to_owned)));
        for wrong in ["", "2+2", "texts=1", "text=%ff", "%ff=x&text=1"] {
            assert_eq!(form(wrong), Err(NO_FORM), "{wrong}");
        }
    }

    #[test]
    fn other_bodies_are_the_text() {
        assert_eq!(message("text/plain", "a=b"), Ok(["a=b", "", ""].map(str::to_owned)));
        let request = http::Request::new(Body::complete([0xff]));
        assert!(Message::of(&mut request.into()).is_err());
    }
}
