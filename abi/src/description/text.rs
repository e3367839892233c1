//! Text that is made in a constant.

/// Bytes there is room for. More do not compile.
const ROOM: usize = 16 << 10;

/// A text, as long as it fits.
pub(crate) struct Text {
    bytes: [u8; ROOM],
    len: usize,
}

impl Text {
    pub(crate) const fn new() -> Text {
        Text { bytes: [0; ROOM], len: 0 }
    }

    /// Appends a string.
    pub(crate) const fn str(&mut self, text: &str) -> &mut Text {
        let bytes = text.as_bytes();
        let (_, rest) = self.bytes.split_at_mut(self.len);
        let (place, _) = rest.split_at_mut(bytes.len());
        place.copy_from_slice(bytes);
        self.len += bytes.len();
        self
    }

    /// Appends a number in decimal digits.
    pub(crate) const fn number(&mut self, number: i64) -> &mut Text {
        if number < 0 {
            self.str("-");
        }
        let (mut rest, mut unit) = (number.unsigned_abs(), 1u64);
        while rest / unit >= 10 {
            unit *= 10;
        }
        while unit > 0 {
            self.bytes[self.len] = b'0' + (rest / unit) as u8;
            self.len += 1;
            rest %= unit;
            unit /= 10;
        }
        self
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.len).0
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("it was made of strings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 99, -16, i64::MAX, i64::MIN] {
            assert_eq!(Text::new().number(number).as_str(), number.to_string());
        }
    }
}
