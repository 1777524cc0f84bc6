//! JSON written straight into a byte buffer, byte for byte as Go's `encoding/json` writes it with HTML escaping on.
//!
//! Strings may hold any bytes: what is not UTF-8 becomes one `\ufffd` escape per bad byte, as in Go. There is no reader
//! here.

/// Appends `bytes` as a JSON string with its quotes.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    // Nearly every value is plain throughout; looking closely at each byte of it would take longer than all else in a read.
    let (plain, rest) = bytes.split_at(plain_length(bytes));
    out.extend_from_slice(plain);
    for chunk in rest.utf8_chunks() {
        write_escaped(out, chunk.valid());
        // A chunk's invalid part may be several bytes of one truncated sequence; Go replaces each byte alone.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

/// Appends a number.
pub fn write_u64(out: &mut Vec<u8>, number: u64) {
    /// Digits of the largest `u64`.
    const DIGITS_MAX: usize = 20;
    let mut digits = [0; DIGITS_MAX];
    let mut rest = number;
    let mut start = DIGITS_MAX;
    for (at, slot) in digits.iter_mut().enumerate().rev() {
        // A remainder of ten fits a byte.
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// Appends a number that may be negative.
pub fn write_i64(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    write_u64(out, number.unsigned_abs());
}

/// How many bytes at the start are ASCII that stands for itself, give or take a word.
fn plain_length(bytes: &[u8]) -> usize {
    const WORD: usize = size_of::<u64>();
    let (words, tail) = bytes.as_chunks::<WORD>();
    let plain = words.iter().take_while(|word| special_marks(u64::from_ne_bytes(**word)) == 0);
    let whole = plain.count() * WORD;
    if whole < words.len() * WORD {
        return whole;
    }
    let mut last = [b' '; WORD];
    last.iter_mut().zip(tail).for_each(|(filled, &byte)| *filled = byte);
    if special_marks(u64::from_ne_bytes(last)) == 0 { bytes.len() } else { whole }
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const SPACES: u64 = ONES * 0x20;

/// Not zero exactly if one of the eight bytes is no ASCII, a control character or one of `"\\<>&`; which one it does not say.
///
/// Bytes are compared eight at a time in ordinary arithmetic, as a program built for size has no vector loops: for a byte below
/// 0x80, `byte - n` has its top bit exactly if the byte is less than `n`, unless a byte below it has borrowed, and was marked itself.
fn special_marks(word: u64) -> u64 {
    /// `<` and `>` differ in this bit alone.
    const ANGLE: u64 = ONES * !(b'<' ^ b'>') as u64;
    let differs = |word: u64, byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    let marks = word
        | word.wrapping_sub(SPACES)
        | differs(word, b'"')
        | differs(word, b'\\')
        | differs(word & ANGLE, b'<' & b'>')
        | differs(word, b'&');
    marks & (ONES * 0x80)
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let width = match byte {
            b'"' | b'\\' | b'<' | b'>' | b'&' | 0..=0x1f => 1,
            // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
            0xe2 if matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) => 3,
            _ => continue,
        };
        out.extend_from_slice(bytes.get(plain_from..at).unwrap_or_default());
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xe2 if bytes.get(at + 2) == Some(&0xa8) => out.extend_from_slice(b"\\u2028"),
            0xe2 => out.extend_from_slice(b"\\u2029"),
            _ => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 0xf));
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
            }
        }
        plain_from = at + width;
    }
    out.extend_from_slice(bytes.get(plain_from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_go_s() {
        // As observed from etcd 3.4.23 for the same value.
        let value = b"\x00\x01\x07\x08\x09\x0a\x0b\x0c\x0d\x1f \"\\/\x7f<>&'\xe2\x80\xa8\xe2\x80\xa9\xff\xc3(\xf0\x9f\x98\x80\xed\xa0\x80\xc0\x80";
        let wire = "\"\\u0000\\u0001\\u0007\\u0008\\t\\n\\u000b\\u000c\\r\\u001f \\\"\\\\/\u{7f}\\u003c\\u003e\\u0026'\\u2028\\u2029\\ufffd\\ufffd(\u{1f600}\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"";
        assert_eq!(string(value), wire);
    }

    #[test]
    fn numbers() {
        let mut out = Vec::new();
        for number in [0, 9, 10, u64::MAX] {
            write_u64(&mut out, number);
            out.push(b' ');
        }
        write_i64(&mut out, i64::MIN);
        assert_eq!(out, b"0 9 10 18446744073709551615 -9223372036854775808");
    }

    #[test]
    fn every_byte_at_every_place_of_a_word_is_judged_alone() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut word = *b"plain~ z";
                word[at] = byte;
                let plain = (0x20..0x80).contains(&byte) && !b"\"\\<>&".contains(&byte);
                assert_eq!(
                    special_marks(u64::from_ne_bytes(word)) == 0,
                    plain,
                    "{byte:#x} at {at}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&string(text.as_bytes())).unwrap(), text);
        }

        #[test]
        fn any_bytes_read_back_as_go_would_replace_them(bytes in prop::collection::vec(any::<u8>(), 0..64), plain in 0_usize..100) {
            let bytes = [vec![b'x'; plain], bytes].concat();
            let mut replaced = String::new();
            for chunk in bytes.utf8_chunks() {
                replaced.push_str(chunk.valid());
                replaced.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
            }
            prop_assert_eq!(serde_json::from_str::<String>(&string(&bytes)).unwrap(), replaced);
        }
    }
}
