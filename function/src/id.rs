//! Ids of requests: short texts that are passed on without memory of their own.

use std::fmt;
use std::ops::Deref;

/// The id of a request. One of at most [`ExchangeId::INLINE`] bytes takes no allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct ExchangeId(Text);

#[derive(Clone, PartialEq, Eq)]
enum Text {
    /// Zeros follow.
    Short {
        len: u8,
        bytes: [u8; ExchangeId::INLINE],
    },
    Long(Box<str>),
}

impl ExchangeId {
    /// Bytes that fit into the id itself.
    pub const INLINE: usize = 22;

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // They were those of a text.
            Text::Short { len, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default()
            }
            Text::Long(text) => text,
        }
    }

    /// Bytes of the text.
    pub fn len(&self) -> usize {
        match &self.0 {
            Text::Short { len, .. } => usize::from(*len),
            Text::Long(text) => text.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for ExchangeId {
    fn default() -> ExchangeId {
        ExchangeId(Text::Short { len: 0, bytes: [0; ExchangeId::INLINE] })
    }
}

impl From<&str> for ExchangeId {
    fn from(text: &str) -> ExchangeId {
        let mut bytes = [0; ExchangeId::INLINE];
        match bytes.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text.as_bytes());
                ExchangeId(Text::Short { len: text.len() as u8, bytes })
            }
            None => ExchangeId(Text::Long(text.into())),
        }
    }
}

impl From<String> for ExchangeId {
    fn from(text: String) -> ExchangeId {
        text.as_str().into()
    }
}

impl Deref for ExchangeId {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_text_whatever_its_length() {
        for len in 0..100 {
            let text: String = ('a'..='z').cycle().take(len).collect();
            let id = ExchangeId::from(text.as_str());
            assert_eq!((&*id, id.len(), id.is_empty()), (&*text, len, len == 0));
            assert_eq!(id, text.into());
        }
        assert_eq!(ExchangeId::from("ü-日本").as_str(), "ü-日本");
        assert_eq!(size_of::<ExchangeId>(), 24);
        assert!(ExchangeId::default().is_empty());
    }
}
