//! JSON strings: which bytes stand for themselves, and how the others are escaped.

/// One in each byte of a word.
const ONES: u64 = u64::MAX / 255;

/// How many leading bytes stand for themselves in a JSON string: no quote, backslash or control character.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return i * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let plain_words = words.len() * 8;
    plain_words
        + rest
            .iter()
            .position(|byte| is_special(*byte))
            .unwrap_or(rest.len())
}

/// The high bit of each byte that is special. Bytes above the lowest such one may be marked wrongly (the
/// subtraction borrows), so only the lowest mark counts: "determine if a word has a byte less than n" of
/// Sean Anderson's Bit Twiddling Hacks.
fn special_bytes(word: u64) -> u64 {
    let below = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word;
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & (ONES << 7)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends a JSON string. Which escapes are used is part of the format, because keys are hashed as text:
/// the two-character ones where JSON has them, else `\u00xx` in lowercase; everything else stands for itself.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let [byte, after @ ..] = special else { break };
        write_escape(*byte, out);
        rest = after;
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let hex = |nibble: u8| {
                if nibble < 10 {
                    b'0' + nibble
                } else {
                    b'a' + nibble - 10
                }
            };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(text in any::<String>(), control in "[\\x00-\\x1f\"\\\\a]{0,20}") {
            for text in [text, control] {
                let mut out = Vec::new();
                write(text.as_bytes(), &mut out);
                prop_assert_eq!(String::from_utf8(out).ok(), serde_json::to_string(&text).ok());
            }
        }

        #[test]
        fn the_first_special_byte_is_found_wherever_it_stands(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = bytes.iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }
}
