//! Strings in the three encodings of the canonical ABI.

use super::Violation;
use wfaas_vm::component::StringEncoding;

/// Bit of a length in `latin1+utf16` that says that the string is UTF-16.
const UTF16_TAG: u32 = 1 << 31;

/// Where a string's bytes are, by its pointer and its length in memory.
pub(super) struct Stored {
    pub(super) bytes: u32,
    pub(super) align: u32,
    form: Form,
}

enum Form {
    Utf8,
    Utf16,
    Latin1,
}

/// Reads the length of a string that the guest gave.
pub(super) fn stored(encoding: StringEncoding, len: u32) -> Result<Stored, Violation> {
    let utf16 = |units: u32| {
        let bytes = units.checked_mul(2).ok_or(Violation::OutOfBounds)?;
        Ok(Stored { bytes, align: 2, form: Form::Utf16 })
    };
    match encoding {
        StringEncoding::Utf8 => Ok(Stored { bytes: len, align: 1, form: Form::Utf8 }),
        StringEncoding::Utf16 => utf16(len),
        StringEncoding::Latin1OrUtf16 if len & UTF16_TAG != 0 => utf16(len & !UTF16_TAG),
        StringEncoding::Latin1OrUtf16 => Ok(Stored { bytes: len, align: 2, form: Form::Latin1 }),
    }
}

/// The string of these bytes.
pub(super) fn decode(stored: &Stored, bytes: &[u8]) -> Result<String, Violation> {
    match stored.form {
        Form::Utf8 => {
            let text = std::str::from_utf8(bytes).map_err(|_| Violation::BadString)?;
            Ok(text.to_owned())
        }
        Form::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Form::Utf16 => {
            let units = bytes.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
            let chars = char::decode_utf16(units).collect::<Result<String, _>>();
            chars.map_err(|_| Violation::BadString)
        }
    }
}

/// Decodes the bytes of one piece of a string, and adds them to `text`; how many bytes these were. A character
/// that goes on behind the piece is left, unless the piece is the last one.
pub(super) fn decode_piece(
    stored: &Stored,
    piece: &[u8],
    is_last: bool,
    text: &mut String,
) -> Result<usize, Violation> {
    let whole = match stored.form {
        Form::Latin1 => piece.len(),
        Form::Utf8 => match std::str::from_utf8(piece) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => piece.len(), // well-formed, or not at all
        },
        Form::Utf16 => {
            let units = piece.as_chunks::<2>().0;
            let is_first_half = |unit: &[u8; 2]| (0xD8..0xDC).contains(&unit[1]);
            2 * (units.len() - usize::from(units.last().is_some_and(is_first_half)))
        }
    };
    let end = if is_last { piece.len() } else { whole };
    text.push_str(&decode(stored, &piece[..end])?);
    Ok(end)
}

/// A string for the guest.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) align: u32,
    /// The length as the guest reads it.
    pub(super) len: u32,
}

/// Encodes a string; `None` if it is too long for a guest.
pub(super) fn encode(encoding: StringEncoding, text: String) -> Option<Encoded> {
    let (bytes, align, len) = match encoding {
        StringEncoding::Utf8 => {
            let len = text.len();
            (text.into_bytes(), 1, len)
        }
        StringEncoding::Latin1OrUtf16 if text.chars().all(|char| u32::from(char) <= 0xFF) => {
            let bytes: Vec<u8> = text.chars().map(|char| u32::from(char) as u8).collect();
            let len = bytes.len();
            (bytes, 2, len)
        }
        StringEncoding::Utf16 | StringEncoding::Latin1OrUtf16 => {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let units = bytes.len() / 2;
            (bytes, 2, units)
        }
    };
    let is_tagged = encoding == StringEncoding::Latin1OrUtf16 && len != bytes.len();
    let tag = if is_tagged { UTF16_TAG } else { 0 };
    let len = u32::try_from(len).ok().filter(|len| len & UTF16_TAG == 0)?;
    Some(Encoded { bytes, align, len: len | tag })
}
