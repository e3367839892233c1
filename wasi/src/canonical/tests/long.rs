//! Strings that are read in pieces.

use super::*;

/// A memory with a record of two strings at 0, and the texts behind it.
fn memory_of(texts: [&str; 2], encoding: StringEncoding) -> Vec<u8> {
    let mut memory = vec![0; 16];
    for (place, text) in texts.into_iter().enumerate() {
        let (bytes, len) = match encoding {
            StringEncoding::Utf8 => (text.as_bytes().to_vec(), text.len() as u32),
            _ => {
                let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                let tag = u32::from(encoding == StringEncoding::Latin1OrUtf16) << 31;
                let units = bytes.len() as u32 / 2;
                (bytes, units | tag)
            }
        };
        let at = memory.len() as u32;
        memory[8 * place..][..4].copy_from_slice(&at.to_le_bytes());
        memory[8 * place + 4..][..4].copy_from_slice(&len.to_le_bytes());
        memory.extend(bytes);
        memory.resize(memory.len().next_multiple_of(2), 0);
    }
    memory
}

/// Lifts a record of two strings in pieces; the value, and how many attempts it took.
fn in_pieces(memory: &[u8], encoding: StringEncoding) -> (Result<Value, Violation>, usize) {
    in_pieces_while(memory.to_vec(), encoding, |_, _| ())
}

/// The same in a memory that `change` gets after each attempt, with how many there were.
fn in_pieces_while(
    mut memory: Vec<u8>,
    encoding: StringEncoding,
    change: impl Fn(usize, &mut Vec<u8>),
) -> (Result<Value, Violation>, usize) {
    let (component, index) = component(&Ty::Record(vec![Ty::String, Ty::String]));
    let resources = Resources::default();
    let mut long = LongStrings::default();
    let attempt = |long: &mut LongStrings, memory: &[u8]| {
        Lift::new(&component, memory, &resources, encoding).with_long(long).load(index, 0)
    };
    for attempts in 1..100 {
        long.begin();
        match attempt(&mut long, &memory) {
            Ok(_) => {
                let value = long.give().and_then(|()| attempt(&mut long, &memory));
                return (value, attempts);
            }
            Err(Violation::TooLarge) if long.is_unfinished() => {}
            Err(violation) => return (Err(violation), attempts),
        }
        change(attempts, &mut memory);
    }
    panic!("it does not end");
}

#[test]
fn long_strings_are_read_in_pieces_of_whole_characters() {
    // Pieces end inside of characters of each length, and of surrogate pairs.
    for (text, encoding) in [
        ("a€", StringEncoding::Utf8),
        ("ab𝄞", StringEncoding::Utf8),
        ("ä𝄞", StringEncoding::Utf16),
        ("𝄞ab𝄞", StringEncoding::Latin1OrUtf16),
    ] {
        let texts = [text.repeat(100_000), format!("x{}", text.repeat(30_000))];
        let memory = memory_of([&texts[0], &texts[1]], encoding);
        let (value, attempts) = in_pieces(&memory, encoding);
        let expected = texts.map(Value::String).to_vec();
        assert!(value == Ok(Value::Record(expected)), "{text} in {encoding:?}");
        let least = memory.len().div_ceil(128 << 10);
        assert!((least..=least + 1).contains(&attempts), "{attempts} for {} bytes", memory.len());
    }
}

#[test]
fn short_strings_between_long_ones_keep_their_places() {
    let long = "x".repeat(200_000);
    for texts in [["short", long.as_str()], [long.as_str(), "short"], [long.as_str(), ""]] {
        let (value, _) = in_pieces(&memory_of(texts, StringEncoding::Utf8), StringEncoding::Utf8);
        let expected = texts.map(|text| Value::String(text.to_owned())).to_vec();
        assert!(value == Ok(Value::Record(expected)));
    }
}

#[test]
fn long_strings_are_bounded_and_well_formed() {
    let utf8 = StringEncoding::Utf8;
    let half = "x".repeat(2 << 20);
    let (all, _) = in_pieces(&memory_of([&half, &half], utf8), utf8);
    assert!(all.is_ok(), "4 MiB");
    let (more, attempts) = in_pieces(&memory_of([&half, &format!("{half}x")], utf8), utf8);
    assert_eq!((more, attempts), (Err(Violation::TooLarge), 16), "behind the first 2 MiB");
    for (at, byte) in [(300_000, 0xFF), (400_015, 0xC3)] {
        let mut memory = memory_of([&"x".repeat(400_000), ""], utf8);
        memory[at] = byte;
        assert_eq!(in_pieces(&memory, utf8).0, Err(Violation::BadString), "{at}");
    }
    let mut memory = memory_of([&"x".repeat(400_000), ""], StringEncoding::Utf16);
    memory[800_014..800_016].copy_from_slice(&0xD834_u16.to_le_bytes());
    assert_eq!(in_pieces(&memory, StringEncoding::Utf16).0, Err(Violation::BadString));
    let mut outside = memory_of([&"x".repeat(400_000), ""], utf8);
    outside.truncate(400_015);
    assert_eq!(in_pieces(&outside, utf8).0, Err(Violation::OutOfBounds));
}

/// Lifts two strings of 200 000 bytes whose record is written over after an attempt: words from 0 on.
fn changed_after(attempts: usize, words: &[(usize, u32)]) -> Result<Value, Violation> {
    let text = "x".repeat(200_000);
    let memory = memory_of([&text, &text], StringEncoding::Utf8);
    let change = |done: usize, memory: &mut Vec<u8>| {
        let words = words.iter().filter(|_| done == attempts);
        words.for_each(|(word, to)| memory[4 * word..][..4].copy_from_slice(&to.to_le_bytes()));
    };
    in_pieces_while(memory, StringEncoding::Utf8, change).0
}

#[test]
fn strings_that_change_between_attempts_end_the_guest() {
    let changed = Err(Violation::Changed);
    // 131 072 bytes of the first one are read.
    for len in [100_000, 131_072, 199_999, 200_001, 0, 5] {
        assert_eq!(changed_after(1, &[(1, len)]), changed, "{len} bytes");
    }
    assert_eq!(changed_after(1, &[(0, 17)]), changed, "another address");
    // Both are begun.
    assert_eq!(changed_after(2, &[(1, 5)]), changed, "the first one is short");
    assert_eq!(changed_after(2, &[(3, 5)]), changed, "the second one is short");
    assert_eq!(changed_after(2, &[(1, 5), (3, 5)]), changed, "there is no long one");
    assert_eq!(changed_after(1, &[(1, u32::MAX)]), Err(Violation::OutOfBounds));
    let text = || Value::String("x".repeat(200_000));
    assert_eq!(changed_after(2, &[(1, 200_000)]), Ok(Value::Record(vec![text(), text()])));
}

#[test]
fn a_string_that_becomes_utf_16_ends_the_guest() {
    let mut memory = memory_of(["", ""], StringEncoding::Utf8);
    memory[..8].copy_from_slice(&[16, 0, 0, 0, 0x40, 0x0D, 3, 0]); // 200 000 in Latin-1
    memory.resize(16 + 200_000, b'x');
    let change = |_, memory: &mut Vec<u8>| {
        memory[4..8].copy_from_slice(&(100_000 | 1_u32 << 31).to_le_bytes());
    };
    let (value, attempts) = in_pieces_while(memory, StringEncoding::Latin1OrUtf16, change);
    assert_eq!((value, attempts), (Err(Violation::Changed), 2));
}
